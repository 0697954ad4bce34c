"""Padding, cropping, resizing, reshaping, joining."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from jaxviz.model.ops.registry import LOWEST, implements
from jaxviz.spec import (
    Concatenate,
    Crop,
    Expand,
    Flatten,
    Pad,
    Permute,
    RepeatVector,
    Reshape,
    Resize,
    Slice,
    Squeeze,
    Upsample,
)

Weights = Mapping[str, jax.Array]

_METHODS = {
    "nearest": "nearest",
    "bilinear": "linear",
    "bicubic": "cubic",
    "lanczos3": "lanczos3",
    "lanczos5": "lanczos5",
}


@implements(Pad)
def pad(op: Pad, weights: Weights, x: jax.Array) -> jax.Array:
    """Zeros around the spatial axes."""
    return jnp.pad(x, ((0, 0), *op.amounts, (0, 0)))


@implements(Pad, LOWEST)
def pad_lowest(op: Pad, weights: Weights, x: jax.Array) -> jax.Array:
    """Minus infinity instead, which XLA makes a maximum pooling's own padding."""
    return jnp.pad(x, ((0, 0), *op.amounts, (0, 0)), constant_values=-jnp.inf)


@implements(Crop)
def crop(op: Crop, weights: Weights, x: jax.Array) -> jax.Array:
    """Rows and columns cut off."""
    spatial = [slice(a, n - b) for (a, b), n in zip(op.amounts, x.shape[1:-1], strict=True)]
    return x[(slice(None), *spatial)]


@implements(Upsample)
def upsample(op: Upsample, weights: Weights, x: jax.Array) -> jax.Array:
    """Each spatial axis enlarged."""
    if op.interpolation == "nearest":
        for axis, factor in enumerate(op.factors, start=1):
            x = jnp.repeat(x, factor, axis=axis)
        return x
    sizes = tuple(n * f for n, f in zip(x.shape[1:-1], op.factors, strict=True))
    return jax.image.resize(x, (x.shape[0], *sizes, x.shape[-1]), _METHODS[op.interpolation])


@implements(Resize)
def resize(op: Resize, weights: Weights, x: jax.Array) -> jax.Array:
    """A map at another size."""
    shape = (x.shape[0], *op.size, x.shape[-1])
    return jax.image.resize(x, shape, _METHODS[op.interpolation], antialias=op.antialias)


@implements(Slice)
def slice_(op: Slice, weights: Weights, x: jax.Array) -> jax.Array:
    """A regular part."""
    return x[(slice(None), *(slice(*bounds) for bounds in op.bounds))]


@implements(Expand)
def expand(op: Expand, weights: Weights, x: jax.Array) -> jax.Array:
    """A new axis."""
    return jnp.expand_dims(x, op.axis)


@implements(Squeeze)
def squeeze(op: Squeeze, weights: Weights, x: jax.Array) -> jax.Array:
    """An axis less."""
    return jnp.squeeze(x, op.axis)


@implements(Concatenate)
def concatenate(op: Concatenate, weights: Weights, *inputs: jax.Array) -> jax.Array:
    """Tensors joined along one axis."""
    return jnp.concatenate(inputs, axis=op.axis)


@implements(Reshape)
def reshape(op: Reshape, weights: Weights, x: jax.Array) -> jax.Array:
    """Same values, other shape."""
    return x.reshape(x.shape[0], *op.shape)


@implements(Flatten)
def flatten(op: Flatten, weights: Weights, x: jax.Array) -> jax.Array:
    """All axes in one."""
    return x.reshape(x.shape[0], -1)


@implements(Permute)
def permute(op: Permute, weights: Weights, x: jax.Array) -> jax.Array:
    """Axes in another order."""
    return jnp.transpose(x, (0, *(i + 1 for i in op.order)))


@implements(RepeatVector)
def repeat_vector(op: RepeatVector, weights: Weights, x: jax.Array) -> jax.Array:
    """A vector repeated along a new first axis."""
    return jnp.repeat(x[:, None], op.times, axis=1)
