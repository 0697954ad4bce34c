"""Convolution as one matrix product over patches, with its gradient as one product to planes.

XLA's convolution is slow where an operand is thin: an image of three channels, a map of few
positions and many channels, a strided 1×1. Copying the patch under the window at each position
costs memory traffic, but leaves one large product, which runs at the machine's full rate. The
gradient is the transpose: one product gives a plane for each window element, and the planes are
shifted and added.
"""

from __future__ import annotations

from functools import partial, reduce
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxviz.model.ops.conv import add_bias, conv, pad_amounts
from jaxviz.model.ops.registry import BOTH, CPU, Weights, implements, prefer
from jaxviz.model.ops.windows import (
    Ints,
    Pairs,
    interleave,
    pad_spatial,
    turned_padding,
    window_counts,
    window_slice,
)
from jaxviz.spec import Conv, Shape

PATCHES = "patches"
#: Up to this many channels a map is split into planes; a short last axis leaves vector units idle.
THIN = 4
# Numbers in a cache line. A product whose rows are not whole lines takes up to twice as long.
_LINE = 16


@implements(Conv, PATCHES, in_memory=BOTH)
def conv_patches(op: Conv, weights: Weights, x: jax.Array) -> jax.Array:
    """Convolution of patches, for a single group."""
    return add_bias(_convolve(op, x, weights["kernel"]), weights)


@prefer(Conv, PATCHES, on=CPU, rank=30)
def is_pointwise(op: Conv, shape: Shape) -> bool:
    """Whether a convolution is 1×1, with any stride."""
    return op.groups == 1 and all(n == 1 for n in op.window)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _convolve(op: Conv, x: jax.Array, kernel: jax.Array) -> jax.Array:
    padding = pad_amounts(op, x.shape[1:-1])
    sizes = window_counts(x.shape[1:-1], op.window, op.strides, op.dilation, padding)
    x = pad_spatial(x, padding)
    parts = [
        window_slice(x, offset, op.strides, op.dilation, sizes) for offset in np.ndindex(*op.window)
    ]
    patches = parts[0]
    if len(parts) > 1:
        # The barrier keeps XLA from copying the patches element by element inside the product.
        patches = lax.optimization_barrier(jnp.concatenate(parts, axis=-1))
    return patches @ kernel.reshape(-1, op.filters)


_Kept = tuple[jax.Array, jax.Array]


def _convolve_forward(op: Conv, x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, _Kept]:
    return _convolve(op, x, kernel), (x, kernel)


def _convolve_backward(op: Conv, kept: _Kept, cotangent: jax.Array) -> _Kept:
    x, kernel = kept
    # XLA drops the gradient to the kernel unless it is asked for.
    plain = op.model_copy(update={"bias": False})
    (to_kernel,) = jax.vjp(lambda k: conv(plain, {"kernel": k}, x), kernel)[1](cotangent)
    return to_input(op, x.shape[1:-1], kernel, cotangent), to_kernel


_convolve.defvjp(_convolve_forward, _convolve_backward)


def to_input(op: Conv, sizes: Ints, kernel: jax.Array, cotangent: jax.Array) -> jax.Array:
    """The gradient of a convolution to an input of these spatial sizes."""
    channels, taps = kernel.shape[-2], int(np.prod(op.window))
    turned = kernel.reshape(taps * channels, op.filters).T
    if taps == 1:
        return _gather(op, sizes, [cotangent @ turned])
    if taps * channels > _LINE:
        turned = jnp.pad(turned, ((0, 0), (0, -taps * channels % _LINE)))
    if all(s == 1 for s in op.strides):
        return _slide(op, sizes, channels, turned, cotangent)
    wide = cotangent @ turned
    planes = [wide[..., n * channels : (n + 1) * channels] for n in range(taps)]
    return _gather(op, sizes, planes)


def _slide(
    op: Conv, sizes: Ints, channels: int, turned: jax.Array, cotangent: jax.Array
) -> jax.Array:
    """`to_input` without a stride: the planes are padded, so that a shift is a slice."""
    spread = turned_padding(op.window, op.dilation, pad_amounts(op, sizes))
    if op.filters < _LINE:  # padding few channels takes longer than padding the planes
        wide = pad_spatial(cotangent @ turned, spread)
    else:
        wide = pad_spatial(cotangent, spread) @ turned
    # The barrier keeps XLA from testing for the padding in every term.
    wide = lax.optimization_barrier(wide)
    ones = (1,) * len(op.window)
    return reduce(
        jnp.add,
        (
            window_slice(
                wide[..., number * channels : (number + 1) * channels],
                tuple(k - 1 - o for k, o in zip(op.window, offset, strict=True)),
                ones,
                op.dilation,
                sizes,
            )
            for number, offset in enumerate(np.ndindex(*op.window))
        ),
    )


def _gather(op: Conv, sizes: Ints, planes: list[jax.Array]) -> jax.Array:
    """The sum of planes, each shifted to the place of its window element.

    Args:
        op: The convolution, for its window, stride and padding.
        sizes: Spatial sizes of the result.
        planes: One array [batch, *positions, channels] per window element.
    """
    padding: Pairs = pad_amounts(op, sizes)
    counts = planes[0].shape[1:-1]
    groups = tuple(-(-n // s) for n, s in zip(sizes, op.strides, strict=True))
    phases = []
    for phase in product(*(range(s) for s in op.strides)):
        terms = []
        for offset, plane in zip(np.ndindex(*op.window), planes, strict=True):
            config = [(0, 0, 0)] * plane.ndim
            reached = True
            for axis, (p, o, d, s, (low, _)) in enumerate(
                zip(phase, offset, op.dilation, op.strides, padding, strict=True)
            ):
                shift, rest = divmod(p + low - o * d, s)
                reached &= rest == 0
                config[1 + axis] = (-shift, groups[axis] - counts[axis] + shift, 0)
            if reached:
                terms.append(lax.pad(plane, jnp.zeros((), plane.dtype), config))
        zero = jnp.zeros((len(planes[0]), *groups, planes[0].shape[-1]), planes[0].dtype)
        phases.append(reduce(jnp.add, terms) if terms else zero)
    return interleave(phases, op.strides, sizes)
