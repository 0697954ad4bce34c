"""Functions in a graph that repeat values, roll them round, or lay channels out as pixels."""

from __future__ import annotations

from typing import Any

from converters.layers.call import LayerCall, Value, in_order
from converters.layers.registry import converts
from jaxviz.spec import Concatenate, Expand, Permute, Reshape, Slice

#: No real network repeats a tensor more often.
_MOST = 4096


@converts("ops.Tile")
def tile(call: LayerCall) -> Value:
    """A tensor beside itself, so many times along each axis."""
    value = call.as_in_keras(call.input)
    rank, repeats = len(value.shape), call.option("repeats")
    repeats = [repeats] if type(repeats) is int else repeats
    counts = [1] * (rank + 1 - len(repeats)) + list(repeats)
    if len(counts) != rank + 1 or counts[0] != 1 or not all(_small(n) for n in counts):
        return call.refuse(f"repeats={repeats!r} of {rank + 1} axes")
    several = [(axis, n) for axis, n in enumerate(counts[1:]) if n > 1]
    if not several:
        return value
    for axis, n in several:
        stage = "" if axis == several[-1][0] else f"axis{axis}"
        value = call.emit(Concatenate(axis=axis - rank), *[value] * n, stage=stage)
    return value


@converts("ops.Repeat")
def repeat(call: LayerCall) -> Value:
    """Each position along an axis so many times."""
    value, count = call.as_in_keras(call.input), call.option("repeats")
    count = count[0] if isinstance(count, list) and len(count) == 1 else count
    axis = call.option("axis", None)
    if type(axis) is not int or not _small(count):
        return call.refuse(f"repeats={count!r} along axis={axis!r}")
    place = value.axis(axis)
    size = value.shape[place]
    if size is None:
        return call.refuse("repeats along an axis of unknown size")
    rank = len(value.shape)
    # Counted from the end, the new axis comes right after.
    apart = call.emit(Expand(axis=place), value, stage="apart", axes=in_order(rank + 1))
    several = call.emit(Concatenate(axis=place), *[apart] * count, stage="several")
    shape = list(value.shape)
    shape[place] = size * count
    return call.emit(Reshape(shape=tuple(shape)), several, axes=in_order(rank))  # type: ignore[arg-type]


def _small(count: Any) -> bool:
    return type(count) is int and 0 < count <= _MOST


@converts("ops.Roll")
def roll(call: LayerCall) -> Value:
    """The end of an axis put before its beginning."""
    value, shift, axis = call.input, call.option("shift"), call.option("axis", None)
    if type(axis) is not int or type(shift) is not int:
        return call.refuse(f"rolls by {shift!r} along axis={axis!r}")
    place = value.axis(axis)
    size = value.shape[place]
    if size is None:
        return call.refuse("rolls along an axis of unknown size")
    if not shift % size:
        return value
    parts = []
    for stage, bounds in (
        ("end", (size - shift % size, None, 1)),
        ("beginning", (None, size - shift % size, 1)),
    ):
        every: list[Any] = [(None, None, 1)] * len(value.shape)
        every[place] = bounds
        parts.append(call.emit(Slice(bounds=tuple(every)), value, stage=stage))
    return call.emit(Concatenate(axis=place), *parts)


@converts("ops.DepthToSpace", "ops.SpaceToDepth")
def depth_and_space(call: LayerCall) -> Value:
    """Blocks of channels as blocks of pixels, or back."""
    block = call.option("block_size")
    convert = depth_to_space if call.layer.class_name == "DepthToSpace" else space_to_depth
    return convert(call, call.image(2), block)


def depth_to_space(call: LayerCall, value: Value, block: Any) -> Value:
    """[h, w, b, b, c] → [h, b, w, b, c]."""
    height, width, depth = _known(call, value, block)
    if depth % block**2:
        call.refuse(f"cannot lay {depth} channels out in blocks of {block}")
    channels = depth // block**2
    apart = Reshape(shape=(height, width, block, block, channels))
    value = call.emit(apart, value, stage="blocks", axes=in_order(5))
    value = call.emit(Permute(order=(0, 2, 1, 3, 4)), value, stage="rows")
    together = Reshape(shape=(height * block, width * block, channels))
    return call.emit(together, value, axes=in_order(3))


def space_to_depth(call: LayerCall, value: Value, block: Any) -> Value:
    """[h, b, w, b, c] → [h, w, b, b, c]."""
    height, width, depth = _known(call, value, block)
    if height % block or width % block:
        call.refuse(f"cannot cut {height} × {width} into blocks of {block}")
    rows, columns = height // block, width // block
    apart = Reshape(shape=(rows, block, columns, block, depth))
    value = call.emit(apart, value, stage="blocks", axes=in_order(5))
    value = call.emit(Permute(order=(0, 2, 1, 3, 4)), value, stage="rows")
    return call.emit(Reshape(shape=(rows, columns, block**2 * depth)), value, axes=in_order(3))


def _known(call: LayerCall, value: Value, block: Any) -> tuple[int, int, int]:
    if value.axes != in_order(3):
        call.refuse("works on another layout than channels last")
    height, width, depth = value.shape
    if height is None or width is None or depth is None or not _small(block):
        return call.refuse(f"lays out shape {value.shape} in blocks of {block!r}")
    return height, width, depth
