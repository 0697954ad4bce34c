"""Normalisation by the image's own statistics, and reductions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from jaxviz.model.ops.registry import implements
from jaxviz.spec import GroupNorm, LayerNorm, Reduce, UnitNorm

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
