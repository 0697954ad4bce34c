"""Convolutions and dense layers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxviz.model.ops.registry import implements
from jaxviz.model.ops.windows import (
    Ints,
    Pairs,
    interleave,
    pad_spatial,
    same_padding,
    sum_over_windows,
    window_counts,
    window_slice,
)
from jaxviz.runtime.noinline import apart
from jaxviz.spec import Conv, ConvTranspose, Dense, DepthwiseConv

Weights = Mapping[str, jax.Array]
#: Sums and maxima over shifted copies.
SLICES = "slices"
# From this width of a strided window on its gradient is summed phase by phase.
_WIDE = 5
# From so many channels on a depthwise sum stands by itself (`apart`). Steps of mini-Xception, whose
# large maps have 8 and 16, take 8 to 12 % longer where all do; MobileNets' a fifth to a third less.
_WORTH_A_PASS = 32


@implements(Conv)
def conv(op: Conv, weights: Weights, x: jax.Array) -> jax.Array:
    """Convolution as XLA has it."""
    padding = pad_amounts(op, x.shape[1:-1])
    return add_bias(
        lax.conv_general_dilated(
            x,
            weights["kernel"],
            window_strides=op.strides,
            padding=padding,
            rhs_dilation=op.dilation,
            dimension_numbers=dimensions(len(op.window)),
            feature_group_count=op.groups,
        ),
        weights,
    )


@implements(DepthwiseConv)
def depthwise_conv(op: DepthwiseConv, weights: Weights, x: jax.Array) -> jax.Array:
    """Depthwise convolution as XLA has it: one group per channel."""
    kernel = weights["kernel"]
    channels = x.shape[-1]
    grouped = kernel.reshape(*op.window, 1, channels * op.multiplier)
    result = lax.conv_general_dilated(
        x,
        grouped,
        window_strides=op.strides,
        padding=pad_amounts(op, x.shape[1:-1]),
        rhs_dilation=op.dilation,
        dimension_numbers=dimensions(len(op.window)),
        feature_group_count=channels,
    )
    return add_bias(result, weights)


@implements(DepthwiseConv, SLICES)
def depthwise_conv_slices(op: DepthwiseConv, weights: Weights, x: jax.Array) -> jax.Array:
    """Depthwise convolution as a sum of shifted, weighted copies, in one loop on a CPU.

    XLA's grouped convolution is 20 to 60 times slower there. Of many channels it stands by itself:
    with its border laid outside and all that reads it behind, worked out once each way.
    """
    return depthwise_sum(op, weights, x, by_itself=x.shape[-1] >= _WORTH_A_PASS)


def depthwise_sum(
    op: DepthwiseConv, weights: Weights, x: jax.Array, by_itself: bool = False
) -> jax.Array:
    """The same for any platform, and joined with what is around it unless `by_itself`.

    Its gradient is written out as the same implementation: autodiff of the slices alone is slow.
    """
    kernel = weights["kernel"]
    if op.multiplier > 1:
        x = jnp.repeat(x, op.multiplier, axis=-1)
    kernel = kernel.reshape(*op.window, -1)
    padding = pad_amounts(op, x.shape[1:-1])
    return add_bias(shifted_sum(x, kernel, op.strides, op.dilation, padding, by_itself), weights)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def shifted_sum(
    x: jax.Array,
    kernel: jax.Array,
    strides: Ints,
    dilation: Ints,
    padding: Pairs,
    by_itself: bool = False,
) -> jax.Array:
    """The sum over a window of shifted copies of a map, each times kernel [*window, channels].

    `by_itself` keeps it and its gradient from being joined with what is around, on a CPU.
    """
    sizes = window_counts(x.shape[1:-1], kernel.shape[:-1], strides, dilation, padding)
    implementation = _sum_by_itself if by_itself else _sum
    return implementation(pad_spatial(x, padding), kernel, strides, dilation, sizes)


def _sum(x: jax.Array, kernel: jax.Array, strides: Ints, dilation: Ints, sizes: Ints) -> jax.Array:
    """Of a map that has its border already."""
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
    """The gradients of `shifted_sum`, and of any other implementation of the same sum."""
    x, kernel = kept
    window = kernel.shape[:-1]
    sizes = x.shape[1:-1]
    to_x = shifted_sum_to_input(sizes, kernel, strides, dilation, padding, cotangent, by_itself)
    # To the kernel: dropped by XLA where nobody asks for it.
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
    """The gradient of `shifted_sum` with respect to its input, of these spatial sizes.

    A cotangent with one channel is spread over all channels of the kernel.
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
    # The cotangent, spread out by the stride, slid over by the flipped kernel.
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
    """The same, each phase (position modulo stride) by itself: the less of few large windows."""
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
    """The elements of a window that see a phase, each with how many windows earlier it does."""
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


@implements(ConvTranspose)
def conv_transpose(op: ConvTranspose, weights: Weights, x: jax.Array) -> jax.Array:
    """Transposed convolution: the flipped kernel slides over the input spread out by the stride."""
    spatial = tuple(range(len(op.window)))
    kernel = jnp.swapaxes(jnp.flip(weights["kernel"], axis=spatial), -1, -2)
    reach = [(k - 1) * d for k, d in zip(op.window, op.dilation, strict=True)]
    padding = [(r - low, r - high) for r, (low, high) in zip(reach, op.crop, strict=True)]
    result = lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1,) * len(op.window),
        padding=padding,
        lhs_dilation=op.strides,
        rhs_dilation=op.dilation,
        dimension_numbers=dimensions(len(op.window)),
    )
    return add_bias(result, weights)


@implements(Dense)
def dense(op: Dense, weights: Weights, x: jax.Array) -> jax.Array:
    """Matrix product over the last axis."""
    return add_bias(x @ weights["kernel"], weights)


def pad_amounts(op: Conv | DepthwiseConv, sizes: tuple[int, ...]) -> Pairs:
    """How much is padded before and after each spatial axis of a map of these sizes."""
    if op.padding == "valid":
        return ((0, 0),) * len(sizes)
    if op.padding == "same":
        return same_padding(sizes, op.window, op.strides, op.dilation)
    return op.padding  # type: ignore[return-value]


def add_bias(x: jax.Array, weights: Weights) -> jax.Array:
    """A map plus its bias, where there is one."""
    return x + weights["bias"].reshape((1,) * (x.ndim - 1) + (-1,)) if "bias" in weights else x


def dimensions(spatial: int) -> tuple[str, str, str]:
    """How the axes of maps and kernels are laid out, channels last."""
    axes = "DHW"[3 - spatial :]
    return f"N{axes}C", f"{axes}IO", f"N{axes}C"
