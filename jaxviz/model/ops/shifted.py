"""A sum over a window of shifted, weighted copies of a map, with its gradient written out.

Depthwise convolutions and average pooling are such sums.
"""

from __future__ import annotations

from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxviz.model.ops.windows import (
    Ints,
    Pairs,
    interleave,
    pad_spatial,
    sum_over_windows,
    window_counts,
    window_slice,
)
from jaxviz.runtime.noinline import apart

# From this width of a strided window, the gradient is summed phase by phase.
_WIDE = 5


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def shifted_sum(
    x: jax.Array,
    kernel: jax.Array,
    strides: Ints,
    dilation: Ints,
    padding: Pairs,
    by_itself: bool = False,
) -> jax.Array:
    """The sum over a window of shifted copies of a map, each times its place in the kernel.

    Args:
        x: The map [batch, …, channels].
        kernel: Weights [*window, channels].
        strides: Strides of the window.
        dilation: Dilation of the window.
        padding: Padding of the map.
        by_itself: Whether to keep XLA from fusing the sum and its gradient with neighbours; for
            CPUs alone.

    Returns:
        [batch, *positions, channels].
    """
    sizes = window_counts(x.shape[1:-1], kernel.shape[:-1], strides, dilation, padding)
    implementation = _sum_by_itself if by_itself else _sum
    return implementation(pad_spatial(x, padding), kernel, strides, dilation, sizes)


def _sum(x: jax.Array, kernel: jax.Array, strides: Ints, dilation: Ints, sizes: Ints) -> jax.Array:
    """The sum over a map that already has its padding."""
    return reduce(
        jnp.add,
        (
            window_slice(x, offset, strides, dilation, sizes) * kernel[offset]
            for offset in np.ndindex(*kernel.shape[:-1])
        ),
    )


_sum_by_itself = apart(2, 3, 4)(_sum)


def _shifted_sum_forward(
    x: jax.Array,
    kernel: jax.Array,
    strides: Ints,
    dilation: Ints,
    padding: Pairs,
    by_itself: bool,
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return shifted_sum(x, kernel, strides, dilation, padding, by_itself), (x, kernel)


def shifted_sum_backward(
    strides: Ints,
    dilation: Ints,
    padding: Pairs,
    by_itself: bool,
    kept: tuple[jax.Array, jax.Array],
    cotangent: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """The gradients of `shifted_sum` to the map and the kernel, however the sum was computed."""
    x, kernel = kept
    window = kernel.shape[:-1]
    sizes = x.shape[1:-1]
    to_x = shifted_sum_to_input(sizes, kernel, strides, dilation, padding, cotangent, by_itself)
    # XLA drops the gradient to the kernel unless it is asked for.
    padded = pad_spatial(x, padding)
    sizes = cotangent.shape[1:-1]
    axes = tuple(range(cotangent.ndim - 1))
    to_kernel = jnp.stack(
        [
            jnp.sum(window_slice(padded, o, strides, dilation, sizes) * cotangent, axis=axes)
            for o in np.ndindex(*window)
        ]
    ).reshape(kernel.shape)
    return to_x, to_kernel


def shifted_sum_to_input(
    sizes: Ints,
    kernel: jax.Array,
    strides: Ints,
    dilation: Ints,
    padding: Pairs,
    cotangent: jax.Array,
    by_itself: bool = False,
) -> jax.Array:
    """The gradient of `shifted_sum` to a map of these spatial sizes.

    A cotangent of one channel is broadcast over all channels of the kernel.
    """
    window = kernel.shape[:-1]
    ones = (1,) * len(window)
    if dilation == ones and strides != ones and max(window) >= _WIDE:
        return _by_phases(sizes, kernel, strides, padding, cotangent)
    if dilation == ones and strides != ones:
        flat = kernel.reshape(-1, kernel.shape[-1])

        def term(offsets: np.ndarray, cotangent: jax.Array) -> jax.Array:
            weights = jnp.where(offsets < 0, 0, flat[np.maximum(offsets[..., 0], 0)])
            return cotangent * weights

        return sum_over_windows(sizes, window, strides, padding, (cotangent,), term)
    # The flipped kernel slides over the cotangent, which the stride has spread out.
    config = [(0, 0, 0)]
    for n, k, s, d, (low, high) in zip(sizes, window, strides, dilation, padding, strict=True):
        count = (n + low + high - (k - 1) * d - 1) // s + 1
        before = (k - 1) * d - low
        after = n + (k - 1) * d - before - ((count - 1) * s + 1)
        config.append((before, after, s - 1))
    spread = lax.pad(cotangent, jnp.zeros((), cotangent.dtype), [*config, (0, 0, 0)])
    flipped = jnp.flip(kernel, axis=tuple(range(len(window))))
    return shifted_sum(spread, flipped, ones, dilation, ((0, 0),) * len(window), by_itself)


def _by_phases(
    sizes: Ints, kernel: jax.Array, strides: Ints, padding: Pairs, cotangent: jax.Array
) -> jax.Array:
    """`shifted_sum_to_input` for large windows: each phase (position modulo stride) by itself."""
    groups = tuple(-(-n // s) for n, s in zip(sizes, strides, strict=True))
    taps = [_taps(phase, kernel.shape[:-1], strides, padding) for phase in np.ndindex(*strides)]
    along = list(zip(*(shift for some in taps for _, shift in some), strict=True))
    margins = tuple(
        (max(0, -min(a)), max(0, max(a) + g - n))
        for a, g, n in zip(along, groups, cotangent.shape[1:-1], strict=True)
    )
    padded = pad_spatial(cotangent, margins)
    ones = (1,) * len(groups)
    phases = []
    for some in taps:
        total = jnp.zeros((len(cotangent), *groups, kernel.shape[-1]), cotangent.dtype)
        for offset, shift in some:
            start = tuple(before + u for (before, _), u in zip(margins, shift, strict=True))
            total += window_slice(padded, start, ones, ones, groups) * kernel[offset]
        phases.append(total)
    return interleave(phases, strides, sizes)


def _taps(phase: Ints, window: Ints, strides: Ints, padding: Pairs) -> list[tuple[Ints, Ints]]:
    """The window elements that cover a phase, each with its distance in windows."""
    found = []
    for offset in np.ndindex(*window):
        steps = [
            divmod(p + low - o, s)
            for p, o, s, (low, _) in zip(phase, offset, strides, padding, strict=True)
        ]
        if not any(rest for _, rest in steps):
            found.append((offset, tuple(earlier for earlier, _ in steps)))
    return found


shifted_sum.defvjp(_shifted_sum_forward, shifted_sum_backward)
