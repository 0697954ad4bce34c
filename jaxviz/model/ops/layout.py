"""Padding, cropping, resizing, reshaping, joining."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxviz.model.ops.intervals import Interval, with_zeros
from jaxviz.model.ops.registry import (
    ALL_CHANNELS,
    LOWEST,
    SAME_CHANNEL,
    Rules,
    Weights,
    implements,
    no_bounds,
    no_products,
    reference,
)
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

# These operations keep every channel in its place.
_IN_PLACE = Rules(flops=no_products, bounds=no_bounds, one_channel=SAME_CHANNEL)
# These may move values from one channel to another.
_MOVING = Rules(flops=no_products, bounds=no_bounds, one_channel=ALL_CHANNELS)
_METHODS = {
    "nearest": "nearest",
    "bilinear": "linear",
    "bicubic": "cubic",
    "lanczos3": "lanczos3",
    "lanczos5": "lanczos5",
}


def _pad_bounds(
    op: Pad, weights: Mapping[str, np.ndarray], inputs: Sequence[Interval]
) -> Interval | None:
    return with_zeros(inputs[0])


@reference(Pad, Rules(flops=no_products, bounds=_pad_bounds, one_channel=SAME_CHANNEL))
def pad(op: Pad, weights: Weights, x: jax.Array) -> jax.Array:
    """Zeros around the spatial axes."""
    return jnp.pad(x, ((0, 0), *op.amounts, (0, 0)))


@implements(Pad, LOWEST)
def pad_lowest(op: Pad, weights: Weights, x: jax.Array) -> jax.Array:
    """Minus infinity around the spatial axes, which XLA fuses into a maximum pooling's padding."""
    return jnp.pad(x, ((0, 0), *op.amounts, (0, 0)), constant_values=-jnp.inf)


@reference(Crop, _IN_PLACE)
def crop(op: Crop, weights: Weights, x: jax.Array) -> jax.Array:
    """Rows and columns cut off."""
    spatial = [slice(a, n - b) for (a, b), n in zip(op.amounts, x.shape[1:-1], strict=True)]
    return x[(slice(None), *spatial)]


@reference(Upsample, _IN_PLACE)
def upsample(op: Upsample, weights: Weights, x: jax.Array) -> jax.Array:
    """Each spatial axis enlarged by a whole factor."""
    if op.interpolation == "nearest":
        for axis, factor in enumerate(op.factors, start=1):
            x = jnp.repeat(x, factor, axis=axis)
        return x
    sizes = tuple(n * f for n, f in zip(x.shape[1:-1], op.factors, strict=True))
    result: jax.Array = jax.image.resize(
        x, (x.shape[0], *sizes, x.shape[-1]), _METHODS[op.interpolation]
    )
    return result


@reference(Resize, _IN_PLACE)
def resize(op: Resize, weights: Weights, x: jax.Array) -> jax.Array:
    """A map at another size."""
    shape = (x.shape[0], *op.size, x.shape[-1])
    method = _METHODS[op.interpolation]
    result: jax.Array = jax.image.resize(x, shape, method, antialias=op.antialias)
    return result


@reference(Slice, _IN_PLACE)
def slice_(op: Slice, weights: Weights, x: jax.Array) -> jax.Array:
    """A regular part of a tensor."""
    return x[(slice(None), *(slice(*bounds) for bounds in op.bounds))]


@reference(Expand, _MOVING)
def expand(op: Expand, weights: Weights, x: jax.Array) -> jax.Array:
    """A new axis of size 1."""
    return jnp.expand_dims(x, op.axis)


@reference(Squeeze, _MOVING)
def squeeze(op: Squeeze, weights: Weights, x: jax.Array) -> jax.Array:
    """One axis of size 1 removed."""
    return jnp.squeeze(x, op.axis)


@reference(Concatenate, _MOVING)
def concatenate(op: Concatenate, weights: Weights, *inputs: jax.Array) -> jax.Array:
    """Tensors joined along one axis."""
    return jnp.concatenate(inputs, axis=op.axis)


@reference(Reshape, _MOVING)
def reshape(op: Reshape, weights: Weights, x: jax.Array) -> jax.Array:
    """The same values in another shape."""
    return x.reshape(x.shape[0], *op.shape)


@reference(Flatten, _MOVING)
def flatten(op: Flatten, weights: Weights, x: jax.Array) -> jax.Array:
    """All axes in one."""
    return x.reshape(x.shape[0], -1)


@reference(Permute, _MOVING)
def permute(op: Permute, weights: Weights, x: jax.Array) -> jax.Array:
    """Axes in another order."""
    return jnp.transpose(x, (0, *(i + 1 for i in op.order)))


@reference(RepeatVector, _MOVING)
def repeat_vector(op: RepeatVector, weights: Weights, x: jax.Array) -> jax.Array:
    """A vector repeated along a new first axis."""
    return jnp.repeat(x[:, None], op.times, axis=1)
