"""3×3 convolution by Winograd's algorithm: a quarter of the multiplications.

A tile of 4×4 results is an elementwise product of transformed input and kernel tiles of
6×6: 36 multiplications where the definition takes 144. Dense convolutions run at the
machine's matrix-product rate already, so on a CPU this is what is left to gain on them.

The interpolation points are 0, ±√½, ±√2 and ∞: with the usual 0, ±1, ±2 the rounding
error in float32 is two and a half times larger.

References:
    Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxviz.model.ops.conv import add_bias, conv, pad_amounts
from jaxviz.model.ops.registry import implements, prepares
from jaxviz.model.ops.windows import Pairs, pad_spatial
from jaxviz.spec import Conv, Shape

WINOGRAD = "winograd"
_TILE = 4
_SIZE = _TILE + 2
# Below this many multiplications per position the transforms cost more than they save.
_LEAST_CHANNELS = 32 * 32


def _matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The transforms of input (6×6), kernel (6×3) and output (4×6), in float64."""
    points = [0.0, np.sqrt(0.5), -np.sqrt(0.5), np.sqrt(2.0), -np.sqrt(2.0)]
    data, kernel = np.zeros((_SIZE, _SIZE)), np.zeros((_SIZE, 3))
    output = np.zeros((_TILE, _SIZE))
    for row, point in enumerate(points):
        others = [other for other in points if other != point]
        data[row, : _SIZE - 1] = np.poly(others)[::-1]
        kernel[row] = point ** np.arange(3) / np.prod([point - other for other in others])
        output[:, row] = point ** np.arange(_TILE)
    data[-1] = np.poly(points)[::-1]
    kernel[-1, -1] = output[-1, -1] = 1.0
    data[np.abs(data) < 1e-12] = 0.0  # what cancels exactly but for rounding
    return data, kernel, output


_DATA, _KERNEL, _OUTPUT = _matrices()


def suits_winograd(op: Conv, shape: Shape) -> bool:
    """Whether a convolution of an input of that shape can be, and is faster, computed so."""
    pads = op.padding if not isinstance(op.padding, str) else ((0, 0),)
    return (
        op.window == (3, 3)
        and op.strides == op.dilation == (1, 1)
        and op.groups == 1
        and all(0 <= n <= 2 for pair in pads for n in pair)
        and (shape[-1] or 0) * op.filters >= _LEAST_CHANNELS
        and min(shape[-1] or 0, op.filters) >= 16
    )


@prepares(Conv, WINOGRAD)
def prepare(op: Conv, weights: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The kernel transformed, for the result and for the gradient; computed in float64."""
    kernel = np.asarray(weights["kernel"], np.float64)
    turned = np.swapaxes(kernel[::-1, ::-1], 2, 3)
    return {
        role: np.einsum("ai,bj,ijco->abco", _KERNEL, _KERNEL, k)
        .reshape(_SIZE * _SIZE, *k.shape[2:])
        .astype(weights["kernel"].dtype)
        for role, k in (("forward", kernel), ("backward", turned))
    }


@implements(Conv, WINOGRAD)
def conv_winograd(op: Conv, weights: Mapping[str, jax.Array], x: jax.Array) -> jax.Array:
    """Convolution in tiles; the transformed kernels come from `prepare`."""
    kernels = {role: weights[role] for role in ("kernel", "forward", "backward")}
    return add_bias(_convolve(op, x, kernels), weights)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _convolve(op: Conv, x: jax.Array, kernels: dict[str, jax.Array]) -> jax.Array:
    return _tiles(pad_spatial(x, pad_amounts(op, x.shape[1:-1])), kernels["forward"])


def _convolve_forward(op: Conv, x: jax.Array, kernels: dict[str, jax.Array]) -> Any:
    return _convolve(op, x, kernels), (x, kernels)


def _convolve_backward(op: Conv, kept: Any, cotangent: jax.Array) -> Any:
    x, kernels = kept
    padding: Pairs = tuple((2 - a, 2 - b) for a, b in pad_amounts(op, x.shape[1:-1]))
    to_x = _tiles(pad_spatial(cotangent, padding), kernels["backward"])
    # To the kernel, as XLA has it: dropped where nobody asks for it.
    plain = op.model_copy(update={"bias": False})
    (to_kernel,) = jax.vjp(lambda k: conv(plain, {"kernel": k}, x), kernels["kernel"])[1](cotangent)
    derived = {role: jnp.zeros_like(kernels[role]) for role in ("forward", "backward")}
    return to_x, {"kernel": to_kernel, **derived}


_convolve.defvjp(_convolve_forward, _convolve_backward)


@jax.custom_batching.custom_vmap
def _tiles(x: jax.Array, kernels: jax.Array) -> jax.Array:
    """Valid 3×3 convolution of [batch, height, width, channels] with kernels [36, in, out]."""
    batch, height, width, channels = x.shape
    filters = kernels.shape[-1]
    sizes = height - 2, width - 2
    rows, columns = (-(-n // _TILE) for n in sizes)
    x = pad_spatial(
        x, tuple((0, t * _TILE - n) for n, t in zip(sizes, (rows, columns), strict=True))
    )
    # Columns, then rows. XLA would work the first out again inside the second; the barriers
    # keep them apart.
    parts = [
        lax.slice_in_dim(x, i, i + (columns - 1) * _TILE + 1, _TILE, axis=2) for i in range(_SIZE)
    ]
    x = lax.optimization_barrier(jnp.stack(_combine(_DATA, parts)))
    parts = [
        lax.slice_in_dim(x, i, i + (rows - 1) * _TILE + 1, _TILE, axis=2) for i in range(_SIZE)
    ]
    x = jnp.stack(_combine(_DATA, parts)).reshape(_SIZE * _SIZE, -1, channels)
    x = lax.optimization_barrier(x)
    product = lax.dot_general(x, kernels, (((2,), (1,)), ((0,), (0,))))
    shape = (_SIZE, _SIZE, batch, rows, columns, filters)
    y = lax.optimization_barrier(product).reshape(shape)
    y = lax.optimization_barrier(jnp.stack(_combine(_OUTPUT, [y[i] for i in range(_SIZE)])))
    y = jnp.stack(_combine(_OUTPUT, [y[:, i] for i in range(_SIZE)]))
    y = y.transpose(2, 3, 1, 4, 0, 5).reshape(batch, rows * _TILE, columns * _TILE, filters)
    return y[:, : sizes[0], : sizes[1]]


@_tiles.def_vmap
def _tiles_vmap(axis_size: int, batched: Any, x: jax.Array, kernels: jax.Array) -> Any:
    # All images in one batch, or the products would be many small ones.
    if batched[1]:
        result = lax.map(lambda pair: _tiles(*pair), (x, kernels)) if batched[0] else None
        if result is None:
            result = lax.map(lambda k: _tiles(x, k), kernels)
        return result, True
    merged = _tiles(x.reshape(-1, *x.shape[2:]), kernels)
    return merged.reshape(axis_size, -1, *merged.shape[1:]), True


def _combine(matrix: np.ndarray, parts: list[jax.Array]) -> list[jax.Array]:
    """Each row of a matrix times the parts, without multiplying by 0 and ±1."""
    results = []
    for row in matrix:
        total = None
        for factor, part in zip(row, parts, strict=True):
            if factor:
                term = part if factor == 1 else part * factor.astype(part.dtype)
                total = term if total is None else total + term
        assert total is not None
        results.append(total)
    return results
