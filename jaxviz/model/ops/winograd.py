"""3×3 convolution by Winograd's algorithm: a quarter of the multiplications.

A tile of 4×4 results is an elementwise product of transformed input and kernel tiles of
6×6: 36 multiplications where the definition takes 144. Dense convolutions run at the
machine's matrix-product rate already, so on a CPU this is what is left to gain on them.

Around the products each tile is written and read half a dozen times, for twice as many numbers
as the map has. So where maps are large they are worked on in blocks that stay in a core's own
cache, one after the other.

The interpolation points are 0, ±√½, ±√2 and ∞: with the usual 0, ±1, ±2 the rounding
error in float32 is two and a half times larger.

References:
    Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxviz.model.ops.conv import add_bias, conv, pad_amounts
from jaxviz.model.ops.registry import implements, prepares
from jaxviz.model.ops.windows import Ints, Pairs, pad_spatial
from jaxviz.spec import Conv, Shape

#: (maps, kernels as `prepare` makes them) -> the valid convolution
Tiles = Callable[[jax.Array, jax.Array], jax.Array]
WINOGRAD = "winograd"
#: The same in blocks; XLA runs what is in a loop on one core.
IN_BLOCKS = "winograd in blocks"
_TILE = 4
_SIZE = _TILE + 2
# Below this many multiplications per position the transforms cost more than they save.
_LEAST_CHANNELS = 32 * 32
# Transformed input and product of a block, in bytes; with 0.2 to 0.9 MB layers took as long.
_BLOCK_BYTES = 450_000
# So few are not worth a loop: 36 tiles of 128 channels, two blocks, ran at 314 GF/s as they were.
_FEW_BLOCKS = 3
# Kernels of more channels are themselves too large for the cache, and every block reads them.
_MOST_CHANNELS = 128 * 128


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


@prepares(Conv, IN_BLOCKS)
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
    return add_bias(_convolve(op, _whole, x, _kernels(weights)), weights)


@implements(Conv, IN_BLOCKS)
def conv_in_blocks(op: Conv, weights: Mapping[str, jax.Array], x: jax.Array) -> jax.Array:
    """The same, some rows of tiles, or some images, after the others."""
    return add_bias(_convolve(op, _in_blocks, x, _kernels(weights)), weights)


def _kernels(weights: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    return {role: weights[role] for role in ("kernel", "forward", "backward")}


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _convolve(op: Conv, tiles: Tiles, x: jax.Array, kernels: dict[str, jax.Array]) -> jax.Array:
    return tiles(pad_spatial(x, pad_amounts(op, x.shape[1:-1])), kernels["forward"])


def _convolve_forward(op: Conv, tiles: Tiles, x: jax.Array, kernels: dict[str, jax.Array]) -> Any:
    return _convolve(op, tiles, x, kernels), (x, kernels)


def _convolve_backward(op: Conv, tiles: Tiles, kept: Any, cotangent: jax.Array) -> Any:
    x, kernels = kept
    padding: Pairs = tuple((2 - a, 2 - b) for a, b in pad_amounts(op, x.shape[1:-1]))
    to_x = tiles(pad_spatial(cotangent, padding), kernels["backward"])
    # To the kernel, as XLA has it: dropped where nobody asks for it.
    plain = op.model_copy(update={"bias": False})
    (to_kernel,) = jax.vjp(lambda k: conv(plain, {"kernel": k}, x), kernels["kernel"])[1](cotangent)
    derived = {role: jnp.zeros_like(kernels[role]) for role in ("forward", "backward")}
    return to_x, {"kernel": to_kernel, **derived}


_convolve.defvjp(_convolve_forward, _convolve_backward)


def _all_images_at_once(tiles: Tiles) -> Tiles:
    """Under `vmap` all images go into one batch, or the products would be many small ones."""
    mapped = jax.custom_batching.custom_vmap(tiles)

    @mapped.def_vmap
    def over_images(axis_size: int, batched: Any, x: jax.Array, kernels: jax.Array) -> Any:
        if batched[1]:
            result = lax.map(lambda pair: mapped(*pair), (x, kernels)) if batched[0] else None
            if result is None:
                result = lax.map(lambda k: mapped(x, k), kernels)
            return result, True
        merged = mapped(x.reshape(-1, *x.shape[2:]), kernels)
        return merged.reshape(axis_size, -1, *merged.shape[1:]), True

    return mapped


@_all_images_at_once
def _whole(x: jax.Array, kernels: jax.Array) -> jax.Array:
    """Valid 3×3 convolution of [batch, height, width, channels] with kernels [36, in, out]."""
    sizes = x.shape[1] - 2, x.shape[2] - 2
    return _cut(_tiles(_in_whole_tiles(x), kernels), sizes)


@_all_images_at_once
def _in_blocks(x: jax.Array, kernels: jax.Array) -> jax.Array:
    """The same, block by block."""
    sizes = x.shape[1] - 2, x.shape[2] - 2
    images, rows = block_of(x.shape[0], sizes, *kernels.shape[1:])
    x = _in_whole_tiles(x, rows)
    high, groups = rows * _TILE, (x.shape[1] - 2) // (rows * _TILE)

    def block(number: jax.Array) -> jax.Array:
        corner = (number // groups * images, number % groups * high, 0, 0)
        return _tiles(lax.dynamic_slice(x, corner, (images, high + 2, *x.shape[2:])), kernels)

    count = len(x) // images * groups
    y = lax.map(block, jnp.arange(count)) if count > 1 else _tiles(x, kernels)
    return _cut(y.reshape(len(x), groups * high, -1, kernels.shape[-1]), sizes)


def block_of(batch: int, sizes: Ints, channels: int, filters: int) -> tuple[int, int]:
    """How many images, and rows of tiles, are worked on at once: all, or few of one of them.

    Args:
        batch: Images that there are; what is worked on at once divides them.
        sizes: Height and width of the result.
        channels: Of the input.
        filters: Of the result.

    Example:
        >>> block_of(4, (96, 96), 64, 64), block_of(10, (12, 12), 64, 64)
        ((1, 1), (2, 3))
    """
    rows, columns = (-(-n // _TILE) for n in sizes)
    tiles = _BLOCK_BYTES // (4 * _SIZE * _SIZE * (channels + filters))
    if channels * filters > _MOST_CHANNELS or batch * rows * columns <= _FEW_BLOCKS * tiles:
        return batch, rows
    if tiles < rows * columns:
        groups = -(-rows // max(1, tiles // columns))
        return 1, -(-rows // groups)
    most = tiles // (rows * columns)
    return max(n for n in range(1, min(batch, most) + 1) if batch % n == 0), rows


def _in_whole_tiles(x: jax.Array, together: int = 1) -> jax.Array:
    """A map with enough at its ends for whole tiles, and whole groups of so many rows of them."""
    steps = (together * _TILE, _TILE)
    ends = tuple((0, (2 - n) % step) for n, step in zip(x.shape[1:3], steps, strict=True))
    return pad_spatial(x, ends)


def _cut(x: jax.Array, sizes: Ints) -> jax.Array:
    return x[:, : sizes[0], : sizes[1]]


def _tiles(x: jax.Array, kernels: jax.Array) -> jax.Array:
    """The same where the result is whole tiles."""
    batch, height, width, channels = x.shape
    filters = kernels.shape[-1]
    rows, columns = ((n - 2) // _TILE for n in (height, width))
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
    return y.transpose(2, 3, 1, 4, 0, 5).reshape(batch, rows * _TILE, columns * _TILE, filters)


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
