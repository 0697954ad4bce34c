"""Convolution with kernels that are rearranged once, forward and for the gradient.

Two things can cost more on a CPU than the products themselves.

- Few filters do not fill the library's inner loop; 32 filters reach a sixth of its rate. So
  neighbouring columns are computed as further filters of a wider kernel (`widen`).
- The gradient needs the turned kernel, which XLA would rebuild at every step. On small maps with
  many channels, turning takes longer than the convolution.

`prepare` makes both kernels once.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxviz.model.kernels.im2col import THIN, to_input
from jaxviz.model.ops.conv import add_bias, conv, dimensions, pad_amounts
from jaxviz.model.ops.registry import BOTH, CPU, HostWeights, Weights, implements, prefer, prepares
from jaxviz.model.ops.windows import Ints, Pairs, pad_spatial, turned_padding, window_counts
from jaxviz.spec import Conv, Shape

PREPARED = "prepared"
# From this many rows, one further row costs less than the fast path gains.
_ROWS = 8


@prefer(Conv, PREPARED, on=CPU, rank=100)
def suits_prepared(op: Conv, shape: Shape) -> bool:
    """Whether a convolution has a single group and a window of more than one element."""
    return op.groups == 1 and any(n > 1 for n in op.window)


@prefer(Conv, PREPARED, on=CPU, rank=40)
def is_image(op: Conv, shape: Shape) -> bool:
    """Whether a convolution reads a map of few channels, usually the image."""
    return suits_prepared(op, shape) and (shape[-1] or 0) <= THIN


def _turns(op: Conv) -> bool:
    """Whether the gradient is a convolution of the cotangent itself with the turned kernel."""
    if any(s > 1 for s in op.strides):
        return False
    if isinstance(op.padding, str):
        return True
    reach = [(k - 1) * d for k, d in zip(op.window, op.dilation, strict=True)]
    return all(max(pair) <= r for pair, r in zip(op.padding, reach, strict=True))


def columns_together(op: Conv, channels: int, filters: int) -> int:
    """How many neighbouring columns are computed as further filters; found by measuring."""
    if op.dilation[-1] > 1 or op.window[-1] == 1:
        return 1
    if channels <= THIN and filters <= 32:
        return min(4, 64 // filters)
    return 2 if max(channels, filters) <= 8 else 1


def widen(kernel: np.ndarray, together: int, stride: int) -> np.ndarray:
    """A kernel that computes several neighbouring columns at once.

    Args:
        kernel: Weights [*window, in, out].
        together: How many columns.
        stride: Stride along the last spatial axis.

    Returns:
        [*window with a longer last axis, in, together · out].

    Example:
        >>> widen(np.ones((3, 3, 2, 5)), 2, 1).shape
        (3, 4, 2, 10)
    """
    *rest, width, channels, filters = kernel.shape
    wide = np.zeros(
        (*rest, width + (together - 1) * stride, channels, together * filters), kernel.dtype
    )
    for number in range(together):
        columns = slice(number * stride, number * stride + width)
        wide[..., columns, :, number * filters : (number + 1) * filters] = kernel
    return wide


@prepares(Conv, PREPARED)
def prepare(op: Conv, weights: HostWeights) -> dict[str, np.ndarray]:
    """The widened kernel, and the turned one for the gradient, where they help."""
    kernel = np.asarray(weights["kernel"])
    derived = {}
    channels = kernel.shape[-2]
    together = columns_together(op, channels, op.filters)
    if together > 1:
        derived["wide"] = widen(kernel, together, op.strides[-1])
    if channels > THIN and _turns(op):
        spatial = tuple(range(len(op.window)))
        turned = np.ascontiguousarray(np.swapaxes(np.flip(kernel, spatial), -1, -2))
        derived["turned"] = widen(turned, columns_together(op, op.filters, channels), 1)
    return derived


@implements(Conv, PREPARED, in_memory=BOTH)
def conv_prepared(op: Conv, weights: Weights, x: jax.Array) -> jax.Array:
    """Convolution with the kernels from `prepare`."""
    kernels = {role: w for role, w in weights.items() if role in ("kernel", "wide", "turned")}
    return add_bias(_convolve(op, x, kernels), weights)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _convolve(op: Conv, x: jax.Array, kernels: dict[str, jax.Array]) -> jax.Array:
    padding = pad_amounts(op, x.shape[1:-1])
    kernel = kernels.get("wide", kernels["kernel"])
    return _wide_conv(x, kernel, op.filters, op.window, op.strides, op.dilation, padding)


_Kept = tuple[jax.Array, dict[str, jax.Array]]


def _convolve_forward(
    op: Conv, x: jax.Array, kernels: dict[str, jax.Array]
) -> tuple[jax.Array, _Kept]:
    return _convolve(op, x, kernels), (x, kernels)


def _convolve_backward(op: Conv, kept: _Kept, cotangent: jax.Array) -> _Kept:
    x, kernels = kept
    sizes = x.shape[1:-1]
    if "turned" in kernels:
        rest = turned_padding(op.window, op.dilation, pad_amounts(op, sizes))
        to_x = _wide_conv(
            cotangent, kernels["turned"], x.shape[-1], op.window, op.strides, op.dilation, rest
        )
    else:
        to_x = to_input(op, sizes, kernels["kernel"], cotangent)
    # XLA drops the gradient to the kernel unless it is asked for.
    plain = op.model_copy(update={"bias": False})
    (to_kernel,) = jax.vjp(lambda k: conv(plain, {"kernel": k}, x), kernels["kernel"])[1](cotangent)
    derived = {role: jnp.zeros_like(k) for role, k in kernels.items() if role != "kernel"}
    return to_x, {"kernel": to_kernel, **derived}


_convolve.defvjp(_convolve_forward, _convolve_backward)


def _wide_conv(
    x: jax.Array,
    kernel: jax.Array,
    filters: int,
    window: Ints,
    strides: Ints,
    dilation: Ints,
    padding: Pairs,
) -> jax.Array:
    """Convolution with a kernel from `widen`; `window` is the window before widening."""
    together = kernel.shape[-1] // filters
    sizes = window_counts(x.shape[1:-1], window, strides, dilation, padding)
    groups = -(-sizes[-1] // together)
    low, high = padding[-1]
    step = strides[-1] * together
    needed = (groups - 1) * step + (kernel.shape[-3] - 1) * dilation[-1] + 1
    high = needed - x.shape[-2] - low
    counts = (*sizes[:-1], groups)
    x, padding = _bordered(x, kernel.shape[:-2], (*padding[:-1], (low, high)), counts)
    result = lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(*strides[:-1], step),
        padding=padding,
        rhs_dilation=dilation,
        dimension_numbers=dimensions(len(window)),
    )
    result = lax.slice_in_dim(result, 0, counts[0], axis=1)
    if together == 1:
        return result
    result = result.reshape(*result.shape[:-2], groups * together, filters)
    return lax.slice_in_dim(result, 0, sizes[-1], axis=-2)


def _bordered(x: jax.Array, window: Ints, padding: Pairs, counts: Ints) -> tuple[jax.Array, Pairs]:
    """A map and its padding, changed so that XLA takes its fast path.

    XLA's fast path needs some padding, but less than a window; without padding, a 3×3 convolution
    can run eight times slower. So one further row is computed at the end, or the map is padded
    beforehand.
    """
    if all(n <= 0 for pair in padding for n in pair):
        (low, high), *others = padding
        return x, ((low, high + (counts[0] >= _ROWS)), *others)
    if all(sum(pair) < k for pair, k in zip(padding, window, strict=True)):
        return x, padding
    less = tuple((max(low - 1, 0), max(high - 1, 0)) for low, high in padding)
    rest = tuple((low - a, high - b) for (low, high), (a, b) in zip(padding, less, strict=True))
    # The barrier keeps XLA from moving the padding back into the convolution.
    return lax.optimization_barrier(pad_spatial(x, less)), rest
