"""Dilated 3×3 convolution as ordinary convolutions of every n-th row and column.

With a dilation of n, a result depends only on positions whose distance is a multiple of n. So the
map splits into n·n smaller maps, which Winograd's algorithm takes as further images.
"""

from __future__ import annotations

import jax
import numpy as np
from jax import lax

from jaxviz.model.kernels import winograd
from jaxviz.model.ops.conv import pad_amounts
from jaxviz.model.ops.registry import (
    CPU,
    INPUT,
    HostWeights,
    Weights,
    implements,
    prefer,
    prepares,
)
from jaxviz.model.ops.windows import pad_spatial, window_counts
from jaxviz.spec import Conv, Shape

DILATED = "dilated"
# Largest ratio of computed positions to needed ones, in the tiles of the smaller maps.
_WASTE = 1.8
# With 64 channels or filters, most shapes were slower.
_LEAST_CHANNELS = 128


@prefer(Conv, DILATED, on=CPU, rank=90)
def suits_dilated(op: Conv, shape: Shape) -> bool:
    """Whether a convolution is dilated and 3×3, and the smaller ones suit `winograd`."""
    if op.window != (3, 3) or max(op.dilation) == 1:
        return False
    if not winograd.suits_winograd(_ordinary(op), shape):
        return False
    if min(shape[-1] or 0, op.filters) < _LEAST_CHANNELS:
        return False
    sizes = [n for n in shape[:-1] if n is not None]
    if len(sizes) < len(op.window):
        return True
    padding = pad_amounts(op, tuple(sizes))
    counts = window_counts(tuple(sizes), op.window, op.strides, op.dilation, padding)
    small = [-(-n // d) for n, d in zip(counts, op.dilation, strict=True)]
    return float(np.prod([-(-n // 4) * 4 / n for n in small])) <= _WASTE


def _ordinary(op: Conv) -> Conv:
    return op.model_copy(update={"dilation": (1, 1), "padding": "valid"})


@prepares(Conv, DILATED)
def prepare(op: Conv, weights: HostWeights) -> dict[str, np.ndarray]:
    """The transformed kernels of an ordinary convolution."""
    return winograd.prepare(op, weights)


@implements(Conv, DILATED, in_memory=INPUT)
def conv_dilated(op: Conv, weights: Weights, x: jax.Array) -> jax.Array:
    """Convolution of n·n smaller maps, interleaved into one again."""
    down, across = op.dilation
    padding = pad_amounts(op, x.shape[1:-1])
    height, width = window_counts(x.shape[1:-1], op.window, (1, 1), op.dilation, padding)
    filled = tuple(
        (low, high + -(n + low + high) % d)
        for n, d, (low, high) in zip(x.shape[1:-1], op.dilation, padding, strict=True)
    )
    x = pad_spatial(x, filled)
    batch, high, wide, channels = x.shape
    parts = x.reshape(batch, high // down, down, wide // across, across, channels)
    parts = parts.transpose(2, 4, 0, 1, 3, 5).reshape(-1, high // down, wide // across, channels)
    parts = winograd.conv_winograd(_ordinary(op), weights, lax.optimization_barrier(parts))
    _, high, wide, filters = parts.shape
    parts = lax.optimization_barrier(parts).reshape(down, across, batch, high, wide, filters)
    whole: jax.Array = parts.transpose(2, 3, 0, 4, 1, 5).reshape(
        batch, high * down, wide * across, filters
    )
    return whole[:, :height, :width]
