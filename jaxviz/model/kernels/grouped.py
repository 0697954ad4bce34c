"""Convolutions in groups of channels, where each group reads its own channels alone.

XLA runs one group after another through a loop made for large groups; groups of 4 channels reach a
fortieth of the machine's rate. So neighbouring groups are joined, with zeros between them, into
blocks, and each block is an ordinary convolution. Groups of a single channel are sums of slices.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxviz.model.kernels.im2col import PATCHES, is_pointwise
from jaxviz.model.kernels.widened import PREPARED
from jaxviz.model.ops.conv import SLICES, add_bias, conv, depthwise_conv_slices
from jaxviz.model.ops.registry import (
    CPU,
    INPUT,
    PREPARE,
    HostWeights,
    Weights,
    compute,
    implements,
    prefer,
    prepares,
)
from jaxviz.spec import Conv, DepthwiseConv, Shape

BLOCKS = "blocks"
# Least number of channels in a block.
_WIDTH = 24


@prefer(Conv, SLICES, on=CPU, rank=10)
def is_depthwise(op: Conv, shape: Shape) -> bool:
    """Whether every channel is a group of its own."""
    return 1 < op.groups == shape[-1]


@implements(Conv, SLICES, in_memory=INPUT)
def conv_slices(op: Conv, weights: Weights, x: jax.Array) -> jax.Array:
    """Convolution of single channels, as a depthwise convolution."""
    kernel = weights["kernel"]
    multiplier = op.filters // op.groups
    same = DepthwiseConv(
        multiplier=multiplier,
        window=op.window,
        strides=op.strides,
        dilation=op.dilation,
        padding=op.padding,
    )
    kernel = kernel.reshape(*op.window, op.groups, multiplier)
    return depthwise_conv_slices(same, {**weights, "kernel": kernel}, x)


@prefer(Conv, BLOCKS, on=CPU, rank=20)
def is_grouped(op: Conv, shape: Shape) -> bool:
    """Whether channels come in groups."""
    return op.groups > 1


def groups_together(groups: int, channels: int) -> int:
    """How many groups make a block.

    Args:
        groups: Groups of the convolution.
        channels: Input channels of each group.

    Example:
        >>> groups_together(32, 4)
        8
    """
    divisors = (n for n in range(1, groups + 1) if groups % n == 0)
    return next((n for n in divisors if n * channels >= _WIDTH), groups)


def _block(op: Conv, channels: int) -> tuple[Conv, int]:
    """The convolution of one block, and the number of blocks."""
    together = groups_together(op.groups, channels)
    count = op.groups // together
    return op.model_copy(update={"groups": 1, "filters": op.filters // count, "bias": False}), count


def _form(op: Conv) -> str:
    return PATCHES if is_pointwise(op, ()) else PREPARED


@prepares(Conv, BLOCKS)
def prepare(op: Conv, weights: HostWeights) -> dict[str, np.ndarray]:
    """The kernels of the blocks, and those that the blocks' implementation derives from them."""
    kernel = np.asarray(weights["kernel"])
    channels = kernel.shape[-2]
    one, count = _block(op, channels)
    together, filters = op.groups // count, op.filters // op.groups
    found: dict[str, np.ndarray] = {}
    for block in range(count):
        joined = np.zeros((*op.window, together * channels, one.filters), kernel.dtype)
        for place in range(together):
            inside = slice(place * filters, (place + 1) * filters)
            first = block * one.filters + place * filters
            joined[..., place * channels : (place + 1) * channels, inside] = kernel[
                ..., first : first + filters
            ]
        roles = {"kernel": joined}
        if (further := PREPARE.get((Conv, _form(op)))) is not None:
            roles |= further(one, roles)
        found |= {f"{block} {role}": array for role, array in roles.items()}
    return found


@implements(Conv, BLOCKS, in_memory=INPUT)
def conv_blocks(op: Conv, weights: Weights, x: jax.Array) -> jax.Array:
    """Grouped convolution as one ordinary convolution for each block from `prepare`."""
    kernels = {role: array for role, array in weights.items() if role != "bias"}
    return add_bias(_convolve(op, x, kernels), weights)


def _blocks(op: Conv, kernels: Mapping[str, jax.Array], x: jax.Array) -> jax.Array:
    one, count = _block(op, kernels["kernel"].shape[-2])
    results = []
    for block, part in enumerate(jnp.split(x, count, axis=-1)):
        own = {
            role.split(" ")[1]: array
            for role, array in kernels.items()
            if role.startswith(f"{block} ")
        }
        results.append(compute(one, own, part, implementation=_form(op)))
    return jnp.concatenate(results, axis=-1)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _convolve(op: Conv, x: jax.Array, kernels: dict[str, jax.Array]) -> jax.Array:
    return _blocks(op, kernels, x)


_Kept = tuple[jax.Array, dict[str, jax.Array]]


def _convolve_forward(
    op: Conv, x: jax.Array, kernels: dict[str, jax.Array]
) -> tuple[jax.Array, _Kept]:
    return _convolve(op, x, kernels), (x, kernels)


def _convolve_backward(op: Conv, kept: _Kept, cotangent: jax.Array) -> _Kept:
    x, kernels = kept
    (to_x,) = jax.vjp(lambda x: _blocks(op, kernels, x), x)[1](cotangent)
    # XLA drops the gradient to the kernel unless it is asked for.
    plain = op.model_copy(update={"bias": False})
    (to_kernel,) = jax.vjp(lambda k: conv(plain, {"kernel": k}, x), kernels["kernel"])[1](cotangent)
    derived = {role: jnp.zeros_like(array) for role, array in kernels.items() if role != "kernel"}
    return to_x, {"kernel": to_kernel, **derived}


_convolve.defvjp(_convolve_forward, _convolve_backward)
