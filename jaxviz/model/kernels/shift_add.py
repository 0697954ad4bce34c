"""Depthwise convolution as a sum of shifted copies, rounded once; for TPUs."""

from __future__ import annotations

from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np

from jaxviz.model.ops.conv import add_bias, pad_amounts
from jaxviz.model.ops.registry import TPU, Weights, implements, prefer
from jaxviz.model.ops.shifted import shifted_sum_backward
from jaxviz.model.ops.windows import (
    Ints,
    Pairs,
    pad_spatial,
    turned_padding,
    window_counts,
    window_slice,
)
from jaxviz.spec import DepthwiseConv, Shape

SUMMED = "summed"
# With more channels, XLA's own convolution takes fewer bytes and cycles.
_FEW_CHANNELS = 64


@prefer(DepthwiseConv, SUMMED, on=TPU, rank=10)
def suits_summed(op: DepthwiseConv, shape: Shape) -> bool:
    """Whether a depthwise convolution has multiplier 1, stride 1 and few channels."""
    plain = op.multiplier == 1 and set(op.strides) == {1} and set(op.dilation) == {1}
    pairs = () if isinstance(op.padding, str) else zip(op.window, op.padding, strict=True)
    within = all(max(pair) < k for k, pair in pairs)  # otherwise the gradient would be cropped
    return plain and within and (shape[-1] or 0) <= _FEW_CHANNELS


@implements(DepthwiseConv, SUMMED)
def depthwise_conv_summed(op: DepthwiseConv, weights: Weights, x: jax.Array) -> jax.Array:
    """A sum over the window of shifted copies, accumulated in float32.

    A matrix unit gains nothing from separate channels. A TPU's vector units take a fifth of its
    time, and XLA fuses the sum with its neighbours.
    """
    kernel = weights["kernel"].reshape(*op.window, -1)
    return add_bias(_summed(x, kernel, pad_amounts(op, x.shape[1:-1])), weights)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _summed(x: jax.Array, kernel: jax.Array, padding: Pairs) -> jax.Array:
    """The sum over a map [batch, …, channels], with kernel [*window, channels].

    Copies are widened to float32 after the shift, and the sum is rounded once, at the end.
    """
    wide = jnp.promote_types(x.dtype, jnp.float32)
    window, ones = kernel.shape[:-1], (1,) * (kernel.ndim - 1)
    padded = pad_spatial(x, padding)
    sizes = window_counts(x.shape[1:-1], window, ones, ones, padding)
    terms = (
        window_slice(padded, offset, ones, ones, sizes).astype(wide) * kernel[offset].astype(wide)
        for offset in np.ndindex(*window)
    )
    return reduce(jnp.add, terms).astype(x.dtype)


def _forward(
    x: jax.Array, kernel: jax.Array, padding: Pairs
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _summed(x, kernel, padding), (x, kernel)


def _backward(
    padding: Pairs, kept: tuple[jax.Array, jax.Array], cotangent: jax.Array
) -> tuple[jax.Array, jax.Array]:
    kernel = kept[1]
    window: Ints = kernel.shape[:-1]
    ones = (1,) * len(window)
    turned = jnp.flip(kernel, tuple(range(len(window))))
    to_x = _summed(cotangent, turned, turned_padding(window, ones, padding))
    # XLA drops the gradient to the kernel unless it is asked for.
    _, to_kernel = shifted_sum_backward(ones, ones, padding, False, kept, cotangent)
    return to_x, to_kernel


_summed.defvjp(_forward, _backward)
