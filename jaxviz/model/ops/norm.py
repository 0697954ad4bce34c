"""Normalisation by the image's own statistics, and reductions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from jaxviz.model.ops.registry import (
    ALL_CHANNELS,
    CPU,
    SAME_CHANNEL,
    WRITTEN_OUT,
    Rules,
    Weights,
    implements,
    no_bounds,
    no_products,
    prefer,
    reference,
)
from jaxviz.spec import GroupNorm, LayerNorm, Reduce, Shape, UnitNorm

_MIXING = Rules(flops=no_products, bounds=no_bounds, one_channel=ALL_CHANNELS)


@reference(LayerNorm, _MIXING)
def layer_norm(op: LayerNorm, weights: Weights, x: jax.Array) -> jax.Array:
    """Normalisation over some axes of each image."""
    axes = tuple(sorted(op.axes))
    mean = jnp.mean(x, axis=axes, keepdims=True)
    centered = x - mean
    squares = jnp.square(centered if op.around_mean else x)
    factor = jax.lax.rsqrt(jnp.mean(squares, axis=axes, keepdims=True) + op.epsilon)
    shape = [n if i - x.ndim in axes else 1 for i, n in enumerate(x.shape)]
    if op.scale:
        factor = factor * weights["gamma"].reshape(shape)
    result = (centered if op.subtract_mean else x) * factor
    return result + weights["beta"].reshape(shape) if op.center else result


@prefer(LayerNorm, WRITTEN_OUT, on=CPU, rank=10)
def is_plain_norm(op: LayerNorm, shape: Shape) -> bool:
    """Whether each position is normalised by itself, to mean 0 and variance 1."""
    return op.axes == (-1,) and op.around_mean and op.subtract_mean


@implements(LayerNorm, WRITTEN_OUT)
def layer_norm_written_out(op: LayerNorm, weights: Weights, x: jax.Array) -> jax.Array:
    """Normalisation of every position by itself, with a gradient whose two sums are products.

    XLA would fuse plain sums with everything that leads to them, which are ten maps.
    """
    result = _normalised(x, op.epsilon)
    result = result * weights["gamma"] if op.scale else result
    return result + weights["beta"] if op.center else result


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _normalised(x: jax.Array, epsilon: float) -> jax.Array:
    return _normalised_forward(x, epsilon)[0]


def _normalised_forward(x: jax.Array, epsilon: float) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    mean = jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(x - mean), axis=-1, keepdims=True)
    factor = jax.lax.rsqrt(variance + epsilon)
    return (x - mean) * factor, (x, mean, factor)


def _normalised_backward(
    epsilon: float, kept: tuple[jax.Array, ...], cotangent: jax.Array
) -> tuple[jax.Array]:
    x, mean, factor = kept
    result = (x - mean) * factor
    ones = jnp.full((x.shape[-1], 1), 1 / x.shape[-1], x.dtype)
    along = (cotangent * result) @ ones
    return (factor * (cotangent - cotangent @ ones - result * along),)


_normalised.defvjp(_normalised_forward, _normalised_backward)


@reference(GroupNorm, _MIXING)
def group_norm(op: GroupNorm, weights: Weights, x: jax.Array) -> jax.Array:
    """Normalisation of groups of channels over the whole image."""
    grouped = x.reshape(*x.shape[:-1], op.groups, -1)
    axes = (*range(1, x.ndim - 1), x.ndim)
    centered = grouped - jnp.mean(grouped, axis=axes, keepdims=True)
    variance = jnp.mean(jnp.square(centered), axis=axes, keepdims=True)
    result = (centered * jax.lax.rsqrt(variance + op.epsilon)).reshape(x.shape)
    result = result * weights["gamma"] if op.scale else result
    return result + weights["beta"] if op.center else result


@reference(UnitNorm, _MIXING)
def unit_norm(op: UnitNorm, weights: Weights, x: jax.Array) -> jax.Array:
    """Division by the L2 norm, or by epsilon where the norm is smaller."""
    total = jnp.sum(jnp.square(x), axis=op.axes, keepdims=True)
    return x * jnp.minimum(jax.lax.rsqrt(total), 1 / op.epsilon)


_REDUCTIONS: dict[str, Callable[..., jax.Array]] = {
    "sum": jnp.sum,
    "mean": jnp.mean,
    "max": jnp.max,
    "min": jnp.min,
    "product": jnp.prod,
    "variance": jnp.var,
    "deviation": jnp.std,
}


@reference(Reduce, Rules(flops=no_products, bounds=no_bounds, one_channel=SAME_CHANNEL))
def reduce(op: Reduce, weights: Weights, x: jax.Array) -> jax.Array:
    """One number for all values along some axes."""
    return _REDUCTIONS[op.kind](x, axis=op.axes, keepdims=op.keepdims)
