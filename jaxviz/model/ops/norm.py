"""Normalisation by the image's own statistics, and reductions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp

from jaxviz.model.ops.registry import APART, implements
from jaxviz.spec import GroupNorm, LayerNorm, Reduce, Shape, UnitNorm

Weights = Mapping[str, jax.Array]


@implements(LayerNorm)
def layer_norm(op: LayerNorm, weights: Weights, x: jax.Array) -> jax.Array:
    """Over some axes of each image."""
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


def is_plain_norm(op: LayerNorm, shape: Shape) -> bool:
    """Whether each position is normalised by itself, to mean 0 and variance 1."""
    return op.axes == (-1,) and op.around_mean and op.subtract_mean


@implements(LayerNorm, APART)
def layer_norm_apart(op: LayerNorm, weights: Weights, x: jax.Array) -> jax.Array:
    """The same of every position by itself, of a map and of a gradient that are complete before.

    XLA's library for CPUs takes a sum together with all additions and multiplications that lead
    to it. Those of a depthwise convolution before it, 49 of shifted copies in a ConvNeXt, then
    have each copy and each factor in memory, as maps.
    """
    result = _normalised(x, op.epsilon)
    result = result * weights["gamma"] if op.scale else result
    return result + weights["beta"] if op.center else result


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _normalised(x: jax.Array, epsilon: float) -> jax.Array:
    return _normalised_forward(x, epsilon)[0]


def _normalised_forward(x: jax.Array, epsilon: float) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    x = _apart(x)
    mean = jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(x - mean), axis=-1, keepdims=True)
    factor = jax.lax.rsqrt(variance + epsilon)
    return (x - mean) * factor, (x, mean, factor)


def _normalised_backward(
    epsilon: float, kept: tuple[jax.Array, ...], cotangent: jax.Array
) -> tuple[jax.Array]:
    x, mean, factor = kept
    cotangent, result = _apart(cotangent), (x - mean) * factor
    # as products: as sums the library takes them with all that leads to them, ten maps
    ones = jnp.full((x.shape[-1], 1), 1 / x.shape[-1], x.dtype)
    along = (cotangent * result) @ ones
    return (_apart(factor * (cotangent - cotangent @ ones - result * along)),)


_normalised.defvjp(_normalised_forward, _normalised_backward)


def _apart(x: jax.Array) -> jax.Array:
    # which changes nothing, and which that library leaves to the loops of XLA's own
    return jax.lax.clamp(-jnp.inf, x, jnp.inf)


@implements(GroupNorm)
def group_norm(op: GroupNorm, weights: Weights, x: jax.Array) -> jax.Array:
    """Groups of channels over the whole image."""
    grouped = x.reshape(*x.shape[:-1], op.groups, -1)
    axes = (*range(1, x.ndim - 1), x.ndim)
    centered = grouped - jnp.mean(grouped, axis=axes, keepdims=True)
    variance = jnp.mean(jnp.square(centered), axis=axes, keepdims=True)
    result = (centered * jax.lax.rsqrt(variance + op.epsilon)).reshape(x.shape)
    result = result * weights["gamma"] if op.scale else result
    return result + weights["beta"] if op.center else result


@implements(UnitNorm)
def unit_norm(op: UnitNorm, weights: Weights, x: jax.Array) -> jax.Array:
    """Division by the L2 norm, which is taken to be no less than epsilon."""
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


@implements(Reduce)
def reduce(op: Reduce, weights: Weights, x: jax.Array) -> jax.Array:
    """One number for everything along some axes."""
    return _REDUCTIONS[op.kind](x, axis=op.axes, keepdims=op.keepdims)
