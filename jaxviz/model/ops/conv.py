"""Convolutions and dense layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxviz.model.ops.intervals import Interval, convolved, weighted, with_zeros
from jaxviz.model.ops.one_filter import columns, one_filter
from jaxviz.model.ops.registry import (
    BOTH,
    CPU,
    OneChannel,
    Rules,
    Weights,
    implements,
    no_bounds,
    prefer,
    reference,
    take_channel,
)
from jaxviz.model.ops.shifted import shifted_sum
from jaxviz.model.ops.windows import Pairs
from jaxviz.spec import Conv, ConvTranspose, Dense, DepthwiseConv, Shape
from jaxviz.spec.op import padding_amounts

#: A sum or maximum over shifted copies.
SLICES = "slices"
# From this many channels, a depthwise sum is kept apart from its neighbours.
_WORTH_A_PASS = 32


def _conv_flops(op: Conv, inputs: Sequence[Shape], output: Shape) -> int:
    (shape,) = inputs
    pairs = _window_pairs(op, pad_amounts(op, _sizes(shape)), shape, output)
    return 2 * pairs * ((shape[-1] or 1) // op.groups) * op.filters


def _conv_bounds(
    op: Conv, weights: Mapping[str, np.ndarray], inputs: Sequence[Interval]
) -> Interval | None:
    if op.groups > 1:
        return None
    return convolved(weights, inputs[0], padded=op.padding != "valid")


def _conv_channel(
    op: Conv, weights: Weights, channel: jax.Array, x: jax.Array, apart: bool
) -> jax.Array:
    kernel = take_channel(weights["kernel"], channel)[..., 0]
    if op.groups > 1:
        size = x.shape[-1] // op.groups
        group = channel // (op.filters // op.groups)
        x = lax.dynamic_slice_in_dim(x, group * size, size, axis=-1)
    padding = pad_amounts(op, x.shape[1:-1])
    result = one_filter(x, kernel, op.strides, op.dilation, padding, apart)
    return _with_bias_of(result, weights, channel)


@reference(
    Conv,
    Rules(
        flops=_conv_flops,
        bounds=_conv_bounds,
        one_channel=OneChannel(from_whole=_conv_channel),
        stored=True,
        scaled_kernel=lambda op, kernel, factor: kernel * factor,
    ),
    in_memory=BOTH,
)
def conv(op: Conv, weights: Weights, x: jax.Array) -> jax.Array:
    """Convolution by XLA."""
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


def _depthwise_flops(op: DepthwiseConv, inputs: Sequence[Shape], output: Shape) -> int:
    (shape,) = inputs
    pairs = _window_pairs(op, pad_amounts(op, _sizes(shape)), shape, output)
    return 2 * pairs * (shape[-1] or 1) * op.multiplier


def _depthwise_bounds(
    op: DepthwiseConv, weights: Mapping[str, np.ndarray], inputs: Sequence[Interval]
) -> Interval | None:
    kernel = weights["kernel"].reshape(-1, *weights["kernel"].shape[-2:])
    low, high = inputs[0] if op.padding == "valid" else with_zeros(inputs[0])
    least, most = weighted(kernel, (low[None, :, None], high[None, :, None]), (0,))
    bias = weights.get("bias", np.zeros(1))
    return least.reshape(-1) + bias, most.reshape(-1) + bias


def _depthwise_same_channel(
    op: DepthwiseConv,
    weights: Weights,
    channel: jax.Array,
    inputs: Sequence[jax.Array],
    implementation: str,
) -> jax.Array:
    kernel = lax.dynamic_slice_in_dim(weights["kernel"], channel, 1, axis=-2)
    rest = {role: take_channel(w, channel) for role, w in weights.items() if role != "kernel"}
    # Under vmap every unit has a kernel of its own, for which only this sum is fast.
    return depthwise_sum(op, {"kernel": kernel, **rest}, inputs[0])


def _depthwise_channel(
    op: DepthwiseConv, weights: Weights, channel: jax.Array, x: jax.Array, apart: bool
) -> jax.Array:
    """Output channel c·M + m of a depthwise convolution with multiplier M."""
    source, which = channel // op.multiplier, channel % op.multiplier
    kernel = lax.dynamic_slice_in_dim(weights["kernel"], source, 1, axis=-2)
    one = op.model_copy(update={"multiplier": 1, "bias": False})
    result = depthwise_sum(one, {"kernel": take_channel(kernel, which)}, take_channel(x, source))
    return _with_bias_of(result, weights, channel)


@reference(
    DepthwiseConv,
    Rules(
        flops=_depthwise_flops,
        bounds=_depthwise_bounds,
        one_channel=OneChannel(_depthwise_same_channel, _depthwise_channel),
        stored=True,
        scaled_kernel=lambda op, kernel, factor: kernel * factor.reshape(kernel.shape[-2:]),
        joins_input=True,
    ),
)
def depthwise_conv(op: DepthwiseConv, weights: Weights, x: jax.Array) -> jax.Array:
    """Depthwise convolution by XLA: one group per channel."""
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


@prefer(DepthwiseConv, SLICES, on=CPU, rank=10)
def _any_depthwise(op: DepthwiseConv, shape: Shape) -> bool:
    """Always."""
    return True


@implements(DepthwiseConv, SLICES)
def depthwise_conv_slices(op: DepthwiseConv, weights: Weights, x: jax.Array) -> jax.Array:
    """Depthwise convolution as a sum of shifted, weighted copies, in one loop.

    XLA's grouped convolution is 20 times slower on a CPU. With many channels, the sum is kept
    apart from its neighbours, so that each of its readers does not recompute it.
    """
    return depthwise_sum(op, weights, x, by_itself=x.shape[-1] >= _WORTH_A_PASS)


def depthwise_sum(
    op: DepthwiseConv, weights: Weights, x: jax.Array, by_itself: bool = False
) -> jax.Array:
    """Depthwise convolution as a `shifted_sum`, for any platform."""
    kernel = weights["kernel"]
    if op.multiplier > 1:
        x = jnp.repeat(x, op.multiplier, axis=-1)
    kernel = kernel.reshape(*op.window, -1)
    padding = pad_amounts(op, x.shape[1:-1])
    return add_bias(shifted_sum(x, kernel, op.strides, op.dilation, padding, by_itself), weights)


def _transpose_flops(op: ConvTranspose, inputs: Sequence[Shape], output: Shape) -> int:
    (shape,) = inputs
    # From input to output, a transposed window covers positions as a window does backwards.
    return 2 * _window_pairs(op, op.crop, output, shape) * (shape[-1] or 1) * op.filters


def _transpose_channel(
    op: ConvTranspose, weights: Weights, channel: jax.Array, x: jax.Array, apart: bool
) -> jax.Array:
    """Planes, one for each window element, spread out by the stride and added."""
    kernel = lax.dynamic_slice_in_dim(weights["kernel"], channel, 1, axis=-2)[..., 0, :]
    offsets = list(np.ndindex(*op.window))
    planes = lax.split(x @ columns(kernel), [1] * len(offsets), axis=-1)
    terms = []
    for plane, offset in zip(planes, offsets, strict=True):
        config = [(0, 0, 0)]
        for k, s, d, o, (low, high) in zip(
            op.window, op.strides, op.dilation, offset, op.crop, strict=True
        ):
            config.append((o * d - low, (k - 1 - o) * d - high, s - 1))
        terms.append(lax.pad(plane, jnp.zeros((), plane.dtype), [*config, (0, 0, 0)]))
    return _with_bias_of(reduce(jnp.add, terms), weights, channel)


@reference(
    ConvTranspose,
    Rules(
        flops=_transpose_flops,
        bounds=no_bounds,
        one_channel=OneChannel(from_whole=_transpose_channel),
        stored=True,
    ),
)
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


def _dense_flops(op: Dense, inputs: Sequence[Shape], output: Shape) -> int:
    return 2 * sizes_product(inputs[0]) * op.units


def _dense_bounds(
    op: Dense, weights: Mapping[str, np.ndarray], inputs: Sequence[Interval]
) -> Interval | None:
    return convolved(weights, inputs[0], padded=False) if inputs[0][0].size > 1 else None


def _dense_channel(
    op: Dense, weights: Weights, channel: jax.Array, x: jax.Array, apart: bool
) -> jax.Array:
    return _with_bias_of(x @ take_channel(weights["kernel"], channel), weights, channel)


@reference(
    Dense,
    Rules(
        flops=_dense_flops,
        bounds=_dense_bounds,
        one_channel=OneChannel(from_whole=_dense_channel),
        stored=True,
    ),
    in_memory=BOTH,
)
def dense(op: Dense, weights: Weights, x: jax.Array) -> jax.Array:
    """Matrix product over the last axis."""
    return add_bias(x @ weights["kernel"], weights)


def pad_amounts(op: Conv | DepthwiseConv, sizes: tuple[int, ...]) -> Pairs:
    """Padding (before, after) of each spatial axis of a map of these sizes."""
    return padding_amounts(op.padding, sizes, op.window, op.strides, op.dilation)


def add_bias(x: jax.Array, weights: Weights) -> jax.Array:
    """A map plus its bias, if there is one."""
    return x + weights["bias"].reshape((1,) * (x.ndim - 1) + (-1,)) if "bias" in weights else x


def dimensions(spatial: int) -> tuple[str, str, str]:
    """Layout of the axes of maps and kernels, channels last.

    Example:
        >>> dimensions(2)
        ('NHWC', 'HWIO', 'NHWC')
    """
    axes = "DHW"[3 - spatial :]
    return f"N{axes}C", f"{axes}IO", f"N{axes}C"


def sizes_product(shape: Shape) -> int:
    """How many numbers a shape holds; an open size counts as 1."""
    return int(np.prod([n or 1 for n in shape], dtype=np.int64))


def _with_bias_of(x: jax.Array, weights: Weights, channel: jax.Array) -> jax.Array:
    return x + take_channel(weights["bias"], channel) if "bias" in weights else x


def _sizes(shape: Shape) -> tuple[int, ...]:
    """The spatial sizes of a shape; an open size counts as 1."""
    return tuple(n or 1 for n in shape[:-1])


def _window_pairs(
    op: Conv | DepthwiseConv | ConvTranspose, padding: Pairs, large: Shape, small: Shape
) -> int:
    """Pairs of a window position and a real element under it; padding is not computed.

    Args:
        op: The operation, whose window slides over the larger map.
        padding: Padding (before, after) of each spatial axis of the larger map.
        large: Shape of the map under the window.
        small: Shape of the map of window positions.
    """
    total = 1
    for axis, (size, count) in enumerate(zip(_sizes(large), _sizes(small), strict=True)):
        offsets = np.arange(op.window[axis]) * op.dilation[axis] - padding[axis][0]
        places = np.arange(count)[:, None] * op.strides[axis] + offsets
        total *= int(((places >= 0) & (places < size)).sum())
    return total
