"""Functions in a graph that repeat or roll values, or exchange channels and pixels."""

from __future__ import annotations

from typing import TypeGuard

from converters.layers.call import LayerCall
from converters.layers.rearranging import Bounds
from converters.layers.registry import converts
from converters.layers.value import Value, in_order
from jaxviz.spec import Concatenate, Expand, Permute, Reshape, Slice

#: Most repetitions of a tensor; no real network has more.
_MOST = 4096


@converts("ops.Tile")
def tile(call: LayerCall) -> Value:
    """A tensor repeated as a whole along its axes."""
    value = call.as_in_keras(call.input)
    rank, repeats = len(value.shape), call.option("repeats")
    repeats = [repeats] if type(repeats) is int else repeats
    counts = [1] * (rank + 1 - len(repeats)) + list(repeats)
    if len(counts) != rank + 1 or counts[0] != 1 or not all(_small(n) for n in counts):
        call.refuse(
            f"repeats={repeats!r} is not a number for each of {rank + 1} axes, the batch's 1"
        )
    several = [(axis, n) for axis, n in enumerate(counts[1:]) if n > 1]
    if not several:
        return value
    for axis, n in several:
        stage = "" if axis == several[-1][0] else f"axis{axis}"
        value = call.emit(Concatenate(axis=axis - rank), *[value] * n, stage=stage)
    return value


@converts("ops.Repeat")
def repeat(call: LayerCall) -> Value:
    """Each position repeated along an axis."""
    value, count = call.as_in_keras(call.input), call.option("repeats")
    count = count[0] if isinstance(count, list) and len(count) == 1 else count
    axis = call.option("axis", None)
    if type(axis) is not int or not _small(count):
        call.refuse(f"repeats={count!r} along axis={axis!r} is not a number and one axis")
    place = value.axis(axis)
    size = value.shape[place]
    if size is None:
        call.refuse("repeats along an axis of unknown size")
    rank = len(value.shape)
    # A negative axis counts from the end, so the new axis comes right after the old one.
    apart = call.emit(Expand(axis=place), value, stage="apart", axes=in_order(rank + 1))
    several = call.emit(Concatenate(axis=place), *[apart] * count, stage="several")
    shape = list(value.shape)
    shape[place] = size * count
    return call.emit(Reshape(shape=tuple(shape)), several, axes=in_order(rank))


def _small(count: object) -> TypeGuard[int]:
    """Whether a value is a positive number of bounded size."""
    return type(count) is int and 0 < count <= _MOST


@converts("ops.Roll")
def roll(call: LayerCall) -> Value:
    """Positions along an axis shifted, the end moved to the beginning."""
    value, shift, axis = call.input, call.option("shift"), call.option("axis", None)
    if type(axis) is not int or type(shift) is not int:
        call.refuse(f"shift={shift!r} along axis={axis!r} is not a number and one axis")
    place = value.axis(axis)
    size = value.shape[place]
    if size is None:
        call.refuse("rolls along an axis of unknown size")
    if not shift % size:
        return value
    parts = []
    every: list[Bounds] = [(None, None, 1)] * len(value.shape)
    for stage, bounds in (
        ("end", (size - shift % size, None, 1)),
        ("beginning", (None, size - shift % size, 1)),
    ):
        every[place] = bounds
        parts.append(call.emit(Slice(bounds=tuple(every)), value, stage=stage))
    return call.emit(Concatenate(axis=place), *parts)


@converts("ops.DepthToSpace", "ops.SpaceToDepth")
def depth_and_space(call: LayerCall) -> Value:
    """Blocks of channels laid out as blocks of pixels, or back."""
    block = call.option("block_size")
    convert = depth_to_space if call.layer.class_name == "DepthToSpace" else space_to_depth
    return convert(call, call.image(2), block)


def depth_to_space(call: LayerCall, value: Value, block: object) -> Value:
    """Emit channels as pixels: [h, w, b, b, c] → [h, b, w, b, c].

    Args:
        call: The function's call.
        value: A map, channels last.
        block: Side b of the blocks, in pixels.
    """
    height, width, depth, block = _known(call, value, block)
    if depth % block**2:
        call.refuse(f"cannot lay {depth} channels out in blocks of {block} × {block}")
    channels = depth // block**2
    apart = Reshape(shape=(height, width, block, block, channels))
    value = call.emit(apart, value, stage="blocks", axes=in_order(5))
    value = call.emit(Permute(order=(0, 2, 1, 3, 4)), value, stage="rows")
    together = Reshape(shape=(height * block, width * block, channels))
    return call.emit(together, value, axes=in_order(3))


def space_to_depth(call: LayerCall, value: Value, block: object) -> Value:
    """Emit pixels as channels: [h, b, w, b, c] → [h, w, b, b, c].

    Args:
        call: The function's call.
        value: A map, channels last.
        block: Side b of the blocks, in pixels.
    """
    height, width, depth, block = _known(call, value, block)
    if height % block or width % block:
        call.refuse(f"cannot cut {height} × {width} into blocks of {block} × {block}")
    rows, columns = height // block, width // block
    apart = Reshape(shape=(rows, block, columns, block, depth))
    value = call.emit(apart, value, stage="blocks", axes=in_order(5))
    value = call.emit(Permute(order=(0, 2, 1, 3, 4)), value, stage="rows")
    return call.emit(Reshape(shape=(rows, columns, block**2 * depth)), value, axes=in_order(3))


def _known(call: LayerCall, value: Value, block: object) -> tuple[int, int, int, int]:
    """Height, width, channels and block size, all known and positive."""
    if value.axes != in_order(3):
        call.refuse("has another layout than channels last")
    height, width, depth = value.shape
    if height is None or width is None or depth is None or not _small(block):
        call.refuse(f"cannot lay shape {value.shape} out in blocks of {block!r}")
    return height, width, depth, block
