"""One filter of a convolution, computed without the others."""

from __future__ import annotations

from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxviz.model.ops.shifted import shifted_sum_backward
from jaxviz.model.ops.windows import (
    Ints,
    Pairs,
    pad_spatial,
    turned_padding,
    window_counts,
    window_slice,
)

# Up to this many channels, one filter is a sum over shifted planes.
_THIN = 4


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def one_filter(
    x: jax.Array, kernel: jax.Array, strides: Ints, dilation: Ints, padding: Pairs, apart: bool
) -> jax.Array:
    """One output channel of a convolution, as matrix products and shifted sums.

    A matrix product gives the contribution of each window element at every position; the
    contributions are shifted and added. The gradient is written out as each element's weights
    times the shifted cotangent, which XLA fuses into one loop. Autodiff of the shifts is 20 times
    slower.

    Args:
        x: The map [batch, …, channels].
        kernel: Weights [*window, channels].
        strides: Strides of the window.
        dilation: Dilation of the window.
        padding: Padding of the map.
        apart: Whether the gradient is a matrix product, into which XLA fuses nothing.

    Returns:
        [batch, …, 1].
    """
    window = kernel.shape[:-1]
    sizes = window_counts(x.shape[1:-1], window, strides, dilation, padding)
    offsets = list(np.ndindex(*window))
    x = pad_spatial(x, padding)
    if x.shape[-1] <= _THIN:  # a product over few channels leaves vector units idle
        planes = lax.optimization_barrier(jnp.moveaxis(x, -1, 0))[..., None]
        terms = [
            window_slice(planes[c], offset, strides, dilation, sizes) * kernel[(*offset, c)]
            for offset in offsets
            for c in range(x.shape[-1])
        ]
    elif all(s == 1 for s in strides):
        planes = x @ columns(kernel)
        terms = [
            window_slice(planes[..., number, None], offset, strides, dilation, sizes)
            for number, offset in enumerate(offsets)
        ]
    else:  # most positions of the planes would be discarded
        terms = [
            window_slice(x, offset, strides, dilation, sizes) @ kernel[offset][:, None]
            for offset in offsets
        ]
    return reduce(jnp.add, terms)


def _one_filter_forward(
    x: jax.Array, kernel: jax.Array, strides: Ints, dilation: Ints, padding: Pairs, apart: bool
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return one_filter(x, kernel, strides, dilation, padding, apart), (x, kernel)


def _one_filter_backward(
    strides: Ints,
    dilation: Ints,
    padding: Pairs,
    apart: bool,
    kept: tuple[jax.Array, jax.Array],
    cotangent: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    to_x, to_kernel = shifted_sum_backward(strides, dilation, padding, False, kept, cotangent)
    x, kernel = kept
    if apart and all(s == 1 for s in strides):
        to_x = _as_product(x.shape[1:-1], kernel, dilation, padding, cotangent)
    return to_x, to_kernel


def _as_product(
    sizes: Ints, kernel: jax.Array, dilation: Ints, padding: Pairs, cotangent: jax.Array
) -> jax.Array:
    """The gradient of one filter to its input, as a matrix product."""
    window = kernel.shape[:-1]
    spread = pad_spatial(cotangent, turned_padding(window, dilation, padding))
    ones = (1,) * len(window)
    turned = [
        tuple(k - 1 - o for k, o in zip(window, offset, strict=True))
        for offset in np.ndindex(*window)
    ]
    patches = [window_slice(spread, place, ones, dilation, sizes) for place in turned]
    return jnp.concatenate(patches, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


one_filter.defvjp(_one_filter_forward, _one_filter_backward)


def columns(kernel: jax.Array) -> jax.Array:
    """A kernel [*window, channels] as a matrix [channels, window]."""
    return kernel.reshape(-1, kernel.shape[-1]).T
