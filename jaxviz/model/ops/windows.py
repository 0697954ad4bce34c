"""The arithmetic of sliding windows, shared by convolutions and pooling."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def same_padding(sizes: Ints, window: Ints, strides: Ints, dilation: Ints) -> Pairs:
    """TensorFlow's rule: as many outputs as strides fit, the odd pixel at the end."""
    pairs = []
    for n, k, s, d in zip(sizes, window, strides, dilation, strict=True):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        pairs.append((total // 2, total - total // 2))
    return tuple(pairs)


def window_counts(sizes: Ints, window: Ints, strides: Ints, dilation: Ints, padding: Pairs) -> Ints:
    """How many positions a window takes along each axis."""
    return tuple(
        (n + low + high - (k - 1) * d - 1) // s + 1
        for n, k, s, d, (low, high) in zip(sizes, window, strides, dilation, padding, strict=True)
    )


def window_slice(
    x: jax.Array, offset: Ints, strides: Ints, dilation: Ints, sizes: Ints
) -> jax.Array:
    """What one element of a window sees at every position: [batch, *sizes, channels]."""
    start = [o * d for o, d in zip(offset, dilation, strict=True)]
    stop = [a + (n - 1) * s + 1 for a, n, s in zip(start, sizes, strides, strict=True)]
    return lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1))


def pad_spatial(x: jax.Array, padding: Pairs, value: float = 0.0) -> jax.Array:
    """A map [batch, …, channels] with a border of one value around its spatial axes."""
    if not any(sum(p) for p in padding):
        return x
    config = [(0, 0, 0), *((low, high, 0) for low, high in padding), (0, 0, 0)]
    return lax.pad(x, jnp.asarray(value, x.dtype), config)
