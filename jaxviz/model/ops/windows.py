"""The arithmetic of sliding windows, shared by convolutions and pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def window_counts(sizes: Ints, window: Ints, strides: Ints, dilation: Ints, padding: Pairs) -> Ints:
    """Number of window positions along each axis."""
    return tuple(
        (n + low + high - (k - 1) * d - 1) // s + 1
        for n, k, s, d, (low, high) in zip(sizes, window, strides, dilation, padding, strict=True)
    )


def turned_padding(window: Ints, dilation: Ints, padding: Pairs) -> Pairs:
    """Padding of the cotangent for the turned kernel: the window's reach minus the padding."""
    reach = [(k - 1) * d for k, d in zip(window, dilation, strict=True)]
    return tuple((r - low, r - high) for r, (low, high) in zip(reach, padding, strict=True))


def window_slice(
    x: jax.Array, offset: Ints, strides: Ints, dilation: Ints, sizes: Ints
) -> jax.Array:
    """The values under one window element at every position: [batch, *sizes, channels]."""
    start = [o * d for o, d in zip(offset, dilation, strict=True)]
    stop = [a + (n - 1) * s + 1 for a, n, s in zip(start, sizes, strides, strict=True)]
    return lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1))


def pad_spatial(x: jax.Array, padding: Pairs, value: float = 0.0) -> jax.Array:
    """A map [batch, …, channels], padded with one value around its spatial axes."""
    if not any(n for pair in padding for n in pair):
        return x
    config = [(0, 0, 0), *((low, high, 0) for low, high in padding), (0, 0, 0)]
    return lax.pad(x, jnp.asarray(value, x.dtype), config)


def sum_over_windows(
    sizes: Ints,
    window: Ints,
    strides: Ints,
    padding: Pairs,
    arrays: tuple[jax.Array, ...],
    term: Callable[..., jax.Array],
) -> jax.Array:
    """The gradient of a strided window: for every input position, the sum over its windows.

    Input positions are grouped into phases (position modulo stride). All positions of a phase lie
    at the same places of their windows, so each phase is a sum of a few shifted, dense maps.
    Spreading the windows out by their stride would mostly compute on zeros.

    Args:
        sizes: Spatial sizes of the input.
        window: Sizes of the window, without dilation.
        strides: Strides of the window.
        padding: Padding of the input.
        arrays: Maps [batch, *windows, channels], one entry per window.
        term: (offsets, *maps) -> one term of the sum. `offsets` [1, *(1, stride per axis), 1] holds
            the place in the window, counted row by row, or -1 outside of it. The maps are [batch,
            *(positions, 1 per axis), channels].

    Returns:
        [batch, *sizes, channels].
    """
    counts = arrays[0].shape[1:-1]
    groups = tuple(-(-n // s) for n, s in zip(sizes, strides, strict=True))
    shifts = []  # distance back to the covering window, in windows, per axis
    for k, s, (low, _) in zip(window, strides, padding, strict=True):
        shifts.append(range(-((low + s - 1) // s), (k - 1 - low) // s + 1))
    margins = [
        (max(steps.stop - 1, 0), max(g - steps.start - count, 0))
        for steps, g, count in zip(shifts, groups, counts, strict=True)
    ]
    padded = [pad_spatial(array, tuple(margins)) for array in arrays]
    terms = []
    for shift in product(*shifts):
        offsets = _phase_offsets(shift, window, strides, padding)
        if (offsets < 0).all():
            continue
        start = [before - u for (before, _), u in zip(margins, shift, strict=True)]
        maps = []
        for array in padded:
            limits = [a + g for a, g in zip(start, groups, strict=True)]
            part = lax.slice(array, (0, *start, 0), (array.shape[0], *limits, array.shape[-1]))
            spaced = (part.shape[0], *(n for g in groups for n in (g, 1)), part.shape[-1])
            maps.append(part.reshape(spaced))
        terms.append(term(offsets, *maps))
    total = reduce(jnp.add, terms)
    full = tuple(g * s for g, s in zip(groups, strides, strict=True))
    total = total.reshape(total.shape[0], *full, total.shape[-1])
    return lax.slice(total, (0,) * total.ndim, (total.shape[0], *sizes, total.shape[-1]))


def _phase_offsets(shift: Ints, window: Ints, strides: Ints, padding: Pairs) -> np.ndarray:
    """Place of each phase in its window: [1, *(1, stride per axis), 1]; -1 outside of it."""
    index = np.zeros((), np.int64)
    inside = np.ones((), bool)
    for u, k, s, (low, _) in zip(shift, window, strides, padding, strict=True):
        place = np.arange(s) + low + u * s
        index = np.add.outer(index * k, place)
        inside = np.logical_and.outer(inside, (place >= 0) & (place < k))
    flat = np.where(inside, index, -1)
    return flat.reshape(1, *(n for s in strides for n in (1, s)), 1)


def interleave(phases: Sequence[jax.Array], strides: Ints, sizes: Ints) -> jax.Array:
    """Join the maps of all phases, given row by row, into one map of these spatial sizes."""
    if len(phases) == 1:
        return phases[0]
    # Stacking axis by axis is faster than stacking at once and transposing.
    whole = _zipped(lax.optimization_barrier(tuple(phases)), strides, 1)
    return lax.slice(whole, (0,) * whole.ndim, (len(whole), *sizes, whole.shape[-1]))


def _zipped(phases: Sequence[jax.Array], strides: Ints, axis: int) -> jax.Array:
    if not strides:
        return phases[0]
    step = len(phases) // strides[0]
    parts = [
        _zipped(phases[n * step : (n + 1) * step], strides[1:], axis + 1) for n in range(strides[0])
    ]
    shape = list(parts[0].shape)
    shape[axis] *= strides[0]
    return jnp.stack(parts, axis + 1).reshape(shape)
