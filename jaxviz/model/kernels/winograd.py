"""Convolution by Winograd's algorithm, with a quarter to a third of the multiplications.

For a 3×3 window, a tile of 4×4 results is an elementwise product of transformed input and kernel
tiles of 6×6: 36 multiplications instead of 144. A tile of that size also gives 3×3 results of a
4×4 window, or 2×2 of a 5×5 window. Dense convolutions already run at the machine's rate of matrix
products, so fewer multiplications are the remaining gain on a CPU.

- Small tiles, 5×5 with 3×3 results, waste less on maps of 3, 6 or 9 pixels. Their transformed
  kernels are 25/36 as large, and deep layers wait for kernels from memory.
- Blocks: each tile is written and read about six times around the products. Large maps are
  computed block by block, so that a block stays in one core's cache.

The interpolation points are 0, ±√½, ±√2 and ∞, and 0, ½, -1, 2 and ∞ for small tiles. The usual
points 0, ±1, ±2 have 2.5 times the rounding error in float32.

References:
    Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxviz.model.ops.conv import add_bias, conv, pad_amounts
from jaxviz.model.ops.registry import CPU, HostWeights, Weights, implements, prefer, prepares
from jaxviz.model.ops.windows import Ints, pad_spatial, turned_padding, window_counts
from jaxviz.runtime.workers import core_count, lane_count
from jaxviz.spec import Conv, Shape

#: (maps, kernels from `prepare`) -> the valid convolution.
Tiles = Callable[[jax.Array, jax.Array], jax.Array]
WINOGRAD = "winograd"
#: Block by block; XLA runs such a loop on one core.
IN_BLOCKS = "winograd in blocks"
#: `WINOGRAD` and `IN_BLOCKS` in tiles of 5×5.
SMALL = "winograd, small tiles"
SMALL_IN_BLOCKS = "winograd in blocks, small tiles"
# Least channels · filters by the window's width; below, the transforms cost more than they save.
_LEAST_CHANNELS = {3: 32 * 32, 4: 64 * 64, 5: 64 * 128}
# Tiles of a block, which are the rows of its products. A product repacks its kernel, which few rows
# do not repay; the results of many rows do not stay in the cache.
_BLOCK_TILES = 40
# Up to this many blocks, a loop costs more than it gains.
_FEW_BLOCKS = 2
# Kernels of more channels · filters come from memory, and every block would read them.
_MOST_CHANNELS = 256 * 256
# From this many channels · filters, a product takes long to repack its second factor. With fewer
# tiles than filters, the tiles become the second factor instead.
_WORTH_LAYING_OUT = 40 * 1024
# A tile's side.
_SMALL, _USUAL = 5, 6
# Where the polynomials are evaluated, besides at infinity.
_POINTS = {
    _SMALL: (0.0, 0.5, -1.0, 2.0),
    _USUAL: (0.0, np.sqrt(0.5), -np.sqrt(0.5), np.sqrt(2.0), -np.sqrt(2.0)),
}


@cache
def _data_matrix(size: int) -> np.ndarray:
    """The transform of the input, size×size, for windows of any width."""
    points = _POINTS[size]
    rows = [np.poly([other for other in points if other != point])[::-1] for point in points]
    data = np.zeros((size, size))
    data[:-1, :-1], data[-1] = rows, np.poly(points)[::-1]
    data[np.abs(data) < 1e-12] = 0.0  # these cancel exactly, apart from rounding
    return data


@cache
def _matrices(size: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The transforms of a kernel (size×width) and of the output (results×size), in float64."""
    kernel, output = np.zeros((size, width)), np.zeros((_results(size, width), size))
    for row, point in enumerate(_POINTS[size]):
        rest = np.prod([point - other for other in _POINTS[size] if other != point])
        kernel[row] = point ** np.arange(width) / rest
        output[:, row] = point ** np.arange(len(output))
    kernel[-1, -1] = output[-1, -1] = 1.0
    return kernel, output


def _results(size: int, width: int) -> int:
    """How many neighbouring results a tile gives along one axis."""
    return size + 1 - width


@prefer(Conv, WINOGRAD, on=CPU, rank=80)
def suits_winograd(op: Conv, shape: Shape) -> bool:
    """Whether a convolution has stride 1, one group and enough channels for the transforms."""
    pads = op.padding if not isinstance(op.padding, str) else ((0, 0),) * len(op.window)
    return (
        len(op.window) == 2
        and all(k in _LEAST_CHANNELS for k in op.window)
        and op.strides == op.dilation == (1, 1)
        and op.groups == 1
        and all(0 <= n < k for k, pair in zip(op.window, pads, strict=True) for n in pair)
        and (shape[-1] or 0) * op.filters >= max(_LEAST_CHANNELS[k] for k in op.window)
        and min(shape[-1] or 0, op.filters) >= 16
    )


@prefer(Conv, SMALL, on=CPU, rank=60)
def suits_small_tiles(op: Conv, shape: Shape) -> bool:
    """Whether `winograd` suits, and tiles of 5×5 take fewer multiplications both ways."""
    height, width = shape[0], shape[1]
    if not suits_winograd(op, shape) or height is None or width is None:
        return False
    padding = pad_amounts(op, (height, width))
    there = window_counts((height, width), op.window, op.strides, op.dilation, padding)
    maps = (there, (height, width))
    small, usual = (
        sum(_multiplications(size, op.window, counts) for counts in maps)
        for size in (_SMALL, _USUAL)
    )
    return small < usual


def _multiplications(size: int, window: Ints, counts: Ints) -> int:
    """Multiplications for a map of these counts of results, per channel and filter."""
    pairs = zip(window, counts, strict=True)
    down, across = (size * -(-count // _results(size, width)) for width, count in pairs)
    return down * across


@prefer(Conv, IN_BLOCKS, on=CPU, rank=70)
def suits_blocks(op: Conv, shape: Shape) -> bool:
    """Whether `winograd` suits, and every core has a lane; one core computes all blocks."""
    return core_count() == lane_count("cpu") and suits_winograd(op, shape)


@prefer(Conv, SMALL_IN_BLOCKS, on=CPU, rank=50)
def suits_small_blocks(op: Conv, shape: Shape) -> bool:
    """Whether `winograd, small tiles` suits, and every core has a lane."""
    return core_count() == lane_count("cpu") and suits_small_tiles(op, shape)


@prepares(Conv, IN_BLOCKS)
@prepares(Conv, WINOGRAD)
def prepare(op: Conv, weights: HostWeights, size: int = _USUAL) -> dict[str, np.ndarray]:
    """The transformed kernels of the result and of the gradient, computed in float64."""
    kernel = np.asarray(weights["kernel"], np.float64)
    turned = np.swapaxes(kernel[::-1, ::-1], 2, 3)
    down, across = (_matrices(size, width)[0] for width in op.window)
    order = "abco" if _is_small(kernel) else "aboc"
    found = {}
    for role, k in (("forward", kernel), ("backward", turned)):
        tiles = np.einsum(f"ai,bj,ijco->{order}", down, across, k)
        found[role] = tiles.reshape(size * size, *tiles.shape[2:]).astype(weights["kernel"].dtype)
    return found


def _is_small(kernel: np.ndarray | jax.Array) -> bool:
    """Whether a product repacks a kernel quickly; such a kernel is kept as [in, out]."""
    return bool(np.prod(kernel.shape[-2:]) < _WORTH_LAYING_OUT)


@prepares(Conv, SMALL_IN_BLOCKS)
@prepares(Conv, SMALL)
def prepare_small(op: Conv, weights: HostWeights) -> dict[str, np.ndarray]:
    """The transformed kernels for tiles of 5×5."""
    return prepare(op, weights, _SMALL)


@implements(Conv, SMALL)
@implements(Conv, WINOGRAD)
def conv_winograd(op: Conv, weights: Weights, x: jax.Array) -> jax.Array:
    """Convolution in tiles; the transformed kernels from `prepare` set the tile size."""
    return add_bias(_convolve(op, False, x, _kernels(weights)), weights)


@implements(Conv, SMALL_IN_BLOCKS)
@implements(Conv, IN_BLOCKS)
def conv_in_blocks(op: Conv, weights: Weights, x: jax.Array) -> jax.Array:
    """Convolution in tiles, block by block; a block is some rows of tiles or some images."""
    return add_bias(_convolve(op, True, x, _kernels(weights)), weights)


def _kernels(weights: Weights) -> dict[str, jax.Array]:
    return {role: weights[role] for role in ("kernel", "forward", "backward")}


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _convolve(op: Conv, in_blocks: bool, x: jax.Array, kernels: dict[str, jax.Array]) -> jax.Array:
    valid = _valid_convolution(op.window, in_blocks)
    return valid(pad_spatial(x, pad_amounts(op, x.shape[1:-1])), kernels["forward"])


_Kept = tuple[jax.Array, dict[str, jax.Array]]


def _convolve_forward(
    op: Conv, in_blocks: bool, x: jax.Array, kernels: dict[str, jax.Array]
) -> tuple[jax.Array, _Kept]:
    return _convolve(op, in_blocks, x, kernels), (x, kernels)


def _convolve_backward(op: Conv, in_blocks: bool, kept: _Kept, cotangent: jax.Array) -> _Kept:
    x, kernels = kept
    rest = turned_padding(op.window, op.dilation, pad_amounts(op, x.shape[1:-1]))
    valid = _valid_convolution(op.window, in_blocks)
    to_x = valid(pad_spatial(cotangent, rest), kernels["backward"])
    # XLA drops the gradient to the kernel unless it is asked for.
    plain = op.model_copy(update={"bias": False})
    (to_kernel,) = jax.vjp(lambda k: conv(plain, {"kernel": k}, x), kernels["kernel"])[1](cotangent)
    derived = {role: jnp.zeros_like(kernels[role]) for role in ("forward", "backward")}
    return to_x, {"kernel": to_kernel, **derived}


_convolve.defvjp(_convolve_forward, _convolve_backward)


@cache
def _valid_convolution(window: Ints, in_blocks: bool) -> Tiles:
    """The valid convolution of [batch, height, width, channels] with kernels from `prepare`.

    Under `vmap`, all images join one batch, because many small products would be slow.
    """

    @jax.custom_batching.custom_vmap
    def convolution(x: jax.Array, kernels: jax.Array) -> jax.Array:
        return (_in_blocks if in_blocks else _whole)(x, kernels, window)

    @convolution.def_vmap
    def over_images(
        axis_size: int, batched: Sequence[bool], x: jax.Array, kernels: jax.Array
    ) -> tuple[jax.Array, bool]:
        if batched[1]:
            result = lax.map(lambda pair: convolution(*pair), (x, kernels)) if batched[0] else None
            if result is None:
                result = lax.map(lambda k: convolution(x, k), kernels)
            return result, True
        merged = convolution(x.reshape(-1, *x.shape[2:]), kernels)
        return merged.reshape(axis_size, -1, *merged.shape[1:]), True

    return convolution


def _whole(x: jax.Array, kernels: jax.Array, window: Ints) -> jax.Array:
    """The valid convolution, all tiles at once."""
    sizes = _valid_sizes(x, window)
    x = _filled(x, window, _results_of(kernels, window))
    return _cut(_tiles(x, kernels, window), sizes)


def _in_blocks(x: jax.Array, kernels: jax.Array, window: Ints) -> jax.Array:
    """The valid convolution, block by block."""
    sizes = _valid_sizes(x, window)
    down, across = _results_of(kernels, window)
    counts = -(-sizes[0] // down), -(-sizes[1] // across)
    images, rows = block_of(len(x), counts, *kernels.shape[1:])
    high, groups = rows * down, -(-counts[0] // rows)
    x = _filled(x, window, (high, across))
    shape = (images, high + window[0] - 1, *x.shape[2:])

    def block(number: jax.Array) -> jax.Array:
        corner = (number // groups * images, number % groups * high, 0, 0)
        return _tiles(lax.dynamic_slice(x, corner, shape), kernels, window)

    count = len(x) // images * groups
    y = lax.map(block, jnp.arange(count)) if count > 1 else _tiles(x, kernels, window)
    return _cut(y.reshape(len(x), groups * high, *y.shape[-2:]), sizes)


def block_of(batch: int, counts: Ints, channels: int, filters: int) -> tuple[int, int]:
    """Size of a block: how many images, and how many rows of tiles of each.

    Args:
        batch: Number of images; the images of a block divide it.
        counts: Rows and columns of tiles of an image.
        channels: Channels of the input.
        filters: Channels of the result.

    Example:
        >>> block_of(4, (24, 24), 64, 64), block_of(10, (3, 3), 64, 64)
        ((1, 1), (2, 3))
    """
    rows, columns = counts
    if channels * filters > _MOST_CHANNELS or batch * rows * columns <= _FEW_BLOCKS * _BLOCK_TILES:
        return batch, rows
    if rows * columns > _BLOCK_TILES:
        groups = -(-rows // max(1, _BLOCK_TILES // columns))
        return 1, -(-rows // groups)
    most = _BLOCK_TILES // (rows * columns)
    return max(n for n in range(1, min(batch, most) + 1) if batch % n == 0), rows


def _size_of(kernels: jax.Array) -> int:
    return math.isqrt(len(kernels))


def _results_of(kernels: jax.Array, window: Ints) -> Ints:
    """Rows and columns of results in a tile."""
    return tuple(_results(_size_of(kernels), width) for width in window)


def _valid_sizes(x: jax.Array, window: Ints) -> Ints:
    return x.shape[1] - window[0] + 1, x.shape[2] - window[1] + 1


def _filled(x: jax.Array, window: Ints, steps: Ints) -> jax.Array:
    """A map padded at its ends until the sizes of its valid result are multiples of the steps."""
    sizes = _valid_sizes(x, window)
    return pad_spatial(x, tuple((0, -n % step) for n, step in zip(sizes, steps, strict=True)))


def _cut(x: jax.Array, sizes: Ints) -> jax.Array:
    return x[:, : sizes[0], : sizes[1]]


def _tiles(x: jax.Array, kernels: jax.Array, window: Ints) -> jax.Array:
    """The valid convolution of a map whose result consists of whole tiles."""
    down, across = _results_of(kernels, window)
    sizes = _valid_sizes(x, window)
    rows, columns = sizes[0] // down, sizes[1] // across
    size = _size_of(kernels)
    data = _data_matrix(size)
    # Columns, then rows. The barriers keep XLA from recomputing the columns inside the rows.
    x = lax.optimization_barrier(jnp.stack(_combine(data, _spaced(x, size, columns, across))))
    x = jnp.stack(_combine(data, _spaced(x, size, rows, down)))
    x = lax.optimization_barrier(x.reshape(size * size, -1, x.shape[-1]))
    y, filters_first = _products(x, kernels)
    filters = y.shape[1 if filters_first else 2]
    places = (-1, rows, columns)
    y = y.reshape(size, size, *((filters, *places) if filters_first else (*places, filters)))
    y = lax.optimization_barrier(y)
    to_rows, to_columns = (_matrices(size, k)[1] for k in window)
    y = lax.optimization_barrier(jnp.stack(_combine(to_rows, [y[i] for i in range(size)])))
    y = jnp.stack(_combine(to_columns, [y[:, i] for i in range(size)]))
    order = (3, 4, 1, 5, 0, 2) if filters_first else (2, 3, 1, 4, 0, 5)
    return y.transpose(order).reshape(-1, *sizes, filters)


def _products(x: jax.Array, kernels: jax.Array) -> tuple[jax.Array, bool]:
    """The product at each place of a tile: [place, tile, filter], or filters before tiles.

    A product repacks its second factor every time; for a small map with many filters, repacking
    takes longer than the product. So the smaller factor comes second.

    Returns:
        The products, and whether filters come before tiles.
    """
    if _is_small(kernels):
        return lax.dot_general(x, kernels, (((2,), (1,)), ((0,), (0,)))), False
    if x.shape[1] > kernels.shape[1]:
        return lax.dot_general(x, kernels, (((2,), (2,)), ((0,), (0,)))), False
    return lax.dot_general(kernels, x, (((2,), (2,)), ((0,), (0,)))), True


def _spaced(x: jax.Array, size: int, count: int, step: int) -> list[jax.Array]:
    """For each place of a tile, the values under it along a map's third axis, in `count` tiles."""
    return [lax.slice_in_dim(x, i, i + (count - 1) * step + 1, step, axis=2) for i in range(size)]


def _combine(matrix: np.ndarray, parts: list[jax.Array]) -> list[jax.Array]:
    """Each row of a matrix times the parts, skipping zeros and multiplications by 1."""
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
