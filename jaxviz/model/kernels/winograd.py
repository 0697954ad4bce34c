"""Convolution by Winograd's algorithm: a quarter of the multiplications, or a third.

For a window of 3×3, a tile of 4×4 results is an elementwise product of transformed input and
kernel tiles of 6×6: 36 multiplications where the definition takes 144. A tile of the same size
gives 5×5 results of a window of 2×2, 3×3 of 4×4 and 2×2 of 5×5. Dense convolutions run at the
machine's matrix-product rate already, so on a CPU this is what is left to gain on them.

Maps of 3, 6 or 9 pixels fall into tiles of 3×3 results, 5×5 in size, with less left over: a map
of 6×6 takes 100 multiplications and not 144, and the transformed kernels, which deep layers wait
for, are 25/36 as large.

Around the products each tile is written and read half a dozen times, for twice as many numbers
as the map has. So where maps are large they are worked on in blocks that stay in a core's own
cache, one after the other.

The interpolation points are 0, ±√½, ±√2 and ∞: with the usual 0, ±1, ±2 the rounding
error in float32 is two and a half times larger. Of small tiles they are 0, ½, -1, 2 and ∞,
whose error is three quarters of that, and with the usual 0, ±1, 2 one and a fifth times it.

References:
    Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxviz.model.ops.conv import add_bias, conv, pad_amounts
from jaxviz.model.ops.registry import implements, prepares
from jaxviz.model.ops.windows import Ints, pad_spatial, turned_padding, window_counts
from jaxviz.spec import Conv, Shape

#: (maps, kernels as `prepare` makes them) -> the valid convolution
Tiles = Callable[[jax.Array, jax.Array], jax.Array]
WINOGRAD = "winograd"
#: The same in blocks; XLA runs what is in a loop on one core.
IN_BLOCKS = "winograd in blocks"
#: Both in tiles of 5×5.
SMALL = "winograd, small tiles"
SMALL_IN_BLOCKS = "winograd in blocks, small tiles"
# By the window's width: below this many multiplications per position the transforms cost more
# than they save. With 2×2 they do with 256 times 256 still.
_LEAST_CHANNELS = {3: 32 * 32, 4: 64 * 64, 5: 64 * 128}
# Tiles of a block, as many rows as its products have. With 18, 36 and 72 a convolution of 128 to
# 128 channels, 24×24, ran at 252, 282 and 230 GF/s: a product lays its kernel out anew, for
# little where rows are few, and what many rows leave behind does not stay in the cache.
_BLOCK_TILES = 40
# So many blocks are not worth a loop: 64 tiles of 96 channels ran at 223 GF/s, and at 192 in two.
_FEW_BLOCKS = 2
# Kernels of more channels come from memory, and every block reads them.
_MOST_CHANNELS = 256 * 256
# From so many channels times filters on a product takes long to lay its kernel out, and where there
# are fewer tiles than filters these are laid out instead.
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
    """The transform of the input, size×size, whatever the window."""
    points = _POINTS[size]
    rows = [np.poly([other for other in points if other != point])[::-1] for point in points]
    data = np.zeros((size, size))
    data[:-1, :-1], data[-1] = rows, np.poly(points)[::-1]
    data[np.abs(data) < 1e-12] = 0.0  # what cancels exactly but for rounding
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
    """How many neighbouring results a tile of that size gives, for a window of that width."""
    return size + 1 - width


def suits_winograd(op: Conv, shape: Shape) -> bool:
    """Whether a convolution of an input of that shape can be, and is faster, computed so."""
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


def suits_small_tiles(op: Conv, shape: Shape) -> bool:
    """Whether one of that input takes fewer multiplications in tiles of 5×5, there and back."""
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
    """How many multiplications so many results take for each pair of channels."""
    pairs = zip(window, counts, strict=True)
    down, across = (size * -(-count // _results(size, width)) for width, count in pairs)
    return down * across


@prepares(Conv, IN_BLOCKS)
@prepares(Conv, WINOGRAD)
def prepare(op: Conv, weights: Mapping[str, Any], size: int = _USUAL) -> dict[str, np.ndarray]:
    """The kernel transformed, for the result and for the gradient; computed in float64."""
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
    """Whether a kernel costs a product little to lay out; it is kept as [in, out] then."""
    return bool(np.prod(kernel.shape[-2:]) < _WORTH_LAYING_OUT)


@prepares(Conv, SMALL_IN_BLOCKS)
@prepares(Conv, SMALL)
def prepare_small(op: Conv, weights: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The same for tiles of 5×5."""
    return prepare(op, weights, _SMALL)


@implements(Conv, SMALL)
@implements(Conv, WINOGRAD)
def conv_winograd(op: Conv, weights: Mapping[str, jax.Array], x: jax.Array) -> jax.Array:
    """Convolution in tiles, whose size the transformed kernels from `prepare` have."""
    return add_bias(_convolve(op, False, x, _kernels(weights)), weights)


@implements(Conv, SMALL_IN_BLOCKS)
@implements(Conv, IN_BLOCKS)
def conv_in_blocks(op: Conv, weights: Mapping[str, jax.Array], x: jax.Array) -> jax.Array:
    """The same, some rows of tiles, or some images, after the others."""
    return add_bias(_convolve(op, True, x, _kernels(weights)), weights)


def _kernels(weights: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    return {role: weights[role] for role in ("kernel", "forward", "backward")}


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _convolve(op: Conv, in_blocks: bool, x: jax.Array, kernels: dict[str, jax.Array]) -> jax.Array:
    valid = _valid_convolution(op.window, in_blocks)
    return valid(pad_spatial(x, pad_amounts(op, x.shape[1:-1])), kernels["forward"])


def _convolve_forward(
    op: Conv, in_blocks: bool, x: jax.Array, kernels: dict[str, jax.Array]
) -> Any:
    return _convolve(op, in_blocks, x, kernels), (x, kernels)


def _convolve_backward(op: Conv, in_blocks: bool, kept: Any, cotangent: jax.Array) -> Any:
    x, kernels = kept
    rest = turned_padding(op.window, op.dilation, pad_amounts(op, x.shape[1:-1]))
    valid = _valid_convolution(op.window, in_blocks)
    to_x = valid(pad_spatial(cotangent, rest), kernels["backward"])
    # To the kernel, as XLA has it: dropped where nobody asks for it.
    plain = op.model_copy(update={"bias": False})
    (to_kernel,) = jax.vjp(lambda k: conv(plain, {"kernel": k}, x), kernels["kernel"])[1](cotangent)
    derived = {role: jnp.zeros_like(kernels[role]) for role in ("forward", "backward")}
    return to_x, {"kernel": to_kernel, **derived}


_convolve.defvjp(_convolve_forward, _convolve_backward)


@cache
def _valid_convolution(window: Ints, in_blocks: bool) -> Tiles:
    """Valid convolution of [batch, height, width, channels] with kernels from `prepare`.

    Under `vmap` all images go into one batch, or the products would be many small ones.
    """

    @jax.custom_batching.custom_vmap
    def convolution(x: jax.Array, kernels: jax.Array) -> jax.Array:
        return (_in_blocks if in_blocks else _whole)(x, kernels, window)

    @convolution.def_vmap
    def over_images(axis_size: int, batched: Any, x: jax.Array, kernels: jax.Array) -> Any:
        if batched[1]:
            result = lax.map(lambda pair: convolution(*pair), (x, kernels)) if batched[0] else None
            if result is None:
                result = lax.map(lambda k: convolution(x, k), kernels)
            return result, True
        merged = convolution(x.reshape(-1, *x.shape[2:]), kernels)
        return merged.reshape(axis_size, -1, *merged.shape[1:]), True

    return convolution


def _whole(x: jax.Array, kernels: jax.Array, window: Ints) -> jax.Array:
    """All tiles at once."""
    sizes = _valid_sizes(x, window)
    x = _filled(x, window, _results_of(kernels, window))
    return _cut(_tiles(x, kernels, window), sizes)


def _in_blocks(x: jax.Array, kernels: jax.Array, window: Ints) -> jax.Array:
    """Some rows of tiles, or some images, after the others."""
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
    """How many images, and rows of tiles, are worked on at once: all, or few of one of them.

    Args:
        batch: Images that there are; what is worked on at once divides them.
        counts: Rows and columns of tiles of an image.
        channels: Of the input.
        filters: Of the result.

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
    """Rows and columns of results of a tile."""
    return tuple(_results(_size_of(kernels), width) for width in window)


def _valid_sizes(x: jax.Array, window: Ints) -> Ints:
    return x.shape[1] - window[0] + 1, x.shape[2] - window[1] + 1


def _filled(x: jax.Array, window: Ints, steps: Ints) -> jax.Array:
    """A map with as much at its ends as makes its valid result's sizes multiples of some steps."""
    sizes = _valid_sizes(x, window)
    return pad_spatial(x, tuple((0, -n % step) for n, step in zip(sizes, steps, strict=True)))


def _cut(x: jax.Array, sizes: Ints) -> jax.Array:
    return x[:, : sizes[0], : sizes[1]]


def _tiles(x: jax.Array, kernels: jax.Array, window: Ints) -> jax.Array:
    """The convolution where the result is whole tiles."""
    down, across = _results_of(kernels, window)
    sizes = _valid_sizes(x, window)
    rows, columns = sizes[0] // down, sizes[1] // across
    size = _size_of(kernels)
    data = _data_matrix(size)
    # Columns, then rows. XLA would work the first out again inside the second; the barriers
    # keep them apart.
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
    """The product of each place of a tile: [place, tile, filter], or filters before tiles.

    Of two factors a product lays the second out anew, each time: of a small map with many filters
    that takes longer than the product. So what there is less of comes second.
    """
    if _is_small(kernels):
        return lax.dot_general(x, kernels, (((2,), (1,)), ((0,), (0,)))), False
    if x.shape[1] > kernels.shape[1]:
        return lax.dot_general(x, kernels, (((2,), (2,)), ((0,), (0,)))), False
    return lax.dot_general(kernels, x, (((2,), (2,)), ((0,), (0,)))), True


def _spaced(x: jax.Array, size: int, count: int, step: int) -> list[jax.Array]:
    """What each place of a tile sees along a map's third axis, in so many tiles."""
    return [lax.slice_in_dim(x, i, i + (count - 1) * step + 1, step, axis=2) for i in range(size)]


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
