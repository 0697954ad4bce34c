"""The arithmetic of sliding windows, shared by convolutions and pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
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


def sum_over_windows(
    sizes: Ints,
    window: Ints,
    strides: Ints,
    dilation: Ints,
    padding: Pairs,
    arrays: tuple[jax.Array, ...],
    term: Callable[..., jax.Array],
) -> jax.Array:
    """Give back to every input position what the windows over it have for it.

    The gradient of a strided window. Inputs are taken in phases (position modulo stride):
    all of a phase lie at the same places of their windows, so each phase is a sum of
    shifted maps, where spreading the windows out by their stride first would work on zeros
    mostly.

    Args:
        sizes: Spatial sizes of the input.
        window: Sizes of the window, without dilation.
        strides: Its strides.
        dilation: Its dilation.
        padding: Its padding.
        arrays: Maps [batch, *windows, channels], one entry per window.
        term: (place in the window, *maps shifted for it) -> a term of the sum
            [batch, *positions of a phase, channels].

    Returns:
        [batch, *sizes, channels].
    """
    groups = tuple(-(-n // s) for n, s in zip(sizes, strides, strict=True))
    shifts = {}  # by place and phase: how many windows earlier the covering one begins
    for offset in np.ndindex(*window):
        for phase in product(*(range(s) for s in strides)):
            steps = [
                divmod(p + low - o * d, s)
                for p, o, s, d, (low, _) in zip(
                    phase, offset, strides, dilation, padding, strict=True
                )
            ]
            if not any(rest for _, rest in steps):
                shifts[phase, offset] = [shift for shift, _ in steps]
    margins = tuple(
        (max(0, -min(along)), max(0, max(along) + group - count))
        for along, group, count in zip(
            zip(*shifts.values(), strict=True), groups, arrays[0].shape[1:-1], strict=True
        )
    )
    padded = [pad_spatial(array, margins) for array in arrays]
    sums: dict[Ints, jax.Array] = {}
    for (phase, offset), steps in sorted(shifts.items()):
        start = [before + u for (before, _), u in zip(margins, steps, strict=True)]
        stop = [a + g for a, g in zip(start, groups, strict=True)]
        part = term(
            offset, *(lax.slice(x, (0, *start, 0), (len(x), *stop, x.shape[-1])) for x in padded)
        )
        sums[phase] = sums[phase] + part if phase in sums else part
    one = next(iter(sums.values()))
    phases = [
        sums.get(phase, jnp.zeros_like(one)) for phase in product(*(range(s) for s in strides))
    ]
    return interleave(phases, strides, sizes)


def interleave(phases: Sequence[jax.Array], strides: Ints, sizes: Ints) -> jax.Array:
    """Maps of every phase of a stride, row by row, back in one map of these sizes."""
    if len(phases) > 1:
        # The barrier keeps XLA from asking for every single value of the map how it came about.
        phases = lax.optimization_barrier(tuple(phases))
    whole = _interleave(phases, strides, 1)
    return lax.slice(whole, (0,) * whole.ndim, (len(whole), *sizes, whole.shape[-1]))


def _interleave(phases: Sequence[jax.Array], strides: Ints, axis: int) -> jax.Array:
    if not strides:
        return phases[0]
    step = len(phases) // strides[0]
    parts = [
        _interleave(phases[n * step : (n + 1) * step], strides[1:], axis + 1)
        for n in range(strides[0])
    ]
    shape = list(parts[0].shape)
    shape[axis] *= strides[0]
    return jnp.stack(parts, axis + 1).reshape(shape)
