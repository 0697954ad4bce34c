"""Functions in a graph that move values: reshaping, indexing, concatenation, splitting."""

from __future__ import annotations

from typing import TypeAlias, cast

from converters.document import Json, are_ints
from converters.layers.call import LayerCall
from converters.layers.elementwise import aligned
from converters.layers.registry import converts
from converters.layers.value import Value, in_order
from jaxviz.spec import (
    Concatenate,
    Expand,
    Flatten,
    Pad,
    Permute,
    Reshape,
    Resize,
    Slice,
    Squeeze,
)

#: Start, stop and step along one axis.
Bounds: TypeAlias = tuple[int | None, int | None, int]
_WHOLE: Bounds = (None, None, 1)
#: Most tensors that one is split into; no real network has more.
_MOST_PARTS = 4096


@converts("ops.Reshape")
def reshape(call: LayerCall) -> Value:
    """Another shape of equal size; values keep Keras' order."""
    return reshaped(call, call.argument(1, "newshape"))


def reshaped(call: LayerCall, shape: Json) -> Value:
    """Emit a reshape of the first input.

    Args:
        call: The function's call.
        shape: Keras' new shape, the batch (-1) first.
    """
    value = call.as_in_keras(call.inputs[0])
    shape = [-1 if n is None else n for n in shape] if isinstance(shape, list) else shape
    if not are_ints(shape) or shape[0] != -1:
        call.refuse(f"reshapes to {str(shape)[:60]!r}, which does not keep the batch axis")
    if shape[1:].count(-1) > 1:
        call.refuse(f"reshapes to {shape!r}, which leaves two sizes open")
    if len(shape) == 2 and shape[1] == -1:
        return call.emit(Flatten(), value, axes=in_order(1))
    return call.emit(Reshape(shape=tuple(shape[1:])), value, axes=in_order(len(shape) - 1))


@converts("ops.Transpose")
def transpose(call: LayerCall) -> Value:
    """Axes permuted."""
    return permuted(call, call.argument(1, "axes"))


def permuted(call: LayerCall, axes: object) -> Value:
    """Emit a permutation of the first input's axes.

    Args:
        call: The function's call.
        axes: Keras' axes in their new order, the batch (0) first.
    """
    value = call.as_in_keras(call.inputs[0])
    rank = len(value.axes) + 1
    if not are_ints(axes):
        call.refuse(f"axes={axes!r} is not a permutation of axes")
    order = [axis % rank for axis in axes]
    if sorted(order) != list(range(rank)) or order[0] != 0:
        call.refuse(f"axes={axes!r} is not a permutation that keeps the batch axis first")
    return call.emit(Permute(order=tuple(axis - 1 for axis in order[1:])), value)


@converts("ops.Swapaxes")
def swapaxes(call: LayerCall) -> Value:
    """Two axes exchanged."""
    rank = len(call.input.shape) + 1
    first, second = call.option("axis1") % rank, call.option("axis2") % rank
    order = list(range(rank))
    order[first], order[second] = second, first
    return permuted(call, order)


@converts("ops.Moveaxis")
def moveaxis(call: LayerCall) -> Value:
    """One axis moved."""
    rank = len(call.input.shape) + 1
    source, destination = call.option("source"), call.option("destination")
    if type(source) is not int or type(destination) is not int:
        call.refuse(f"moves axes {source!r} to {destination!r}, expected one axis each")
    order = [axis for axis in range(rank) if axis != source % rank]
    order.insert(destination % rank, source % rank)
    return permuted(call, order)


@converts("ops.ExpandDims")
def expand_dims(call: LayerCall) -> Value:
    """A new axis of size 1."""
    value = call.as_in_keras(call.inputs[0])
    rank, axis = len(value.shape) + 2, call.argument(1, "axis")
    if type(axis) is not int or not axis % rank:
        call.refuse(f"axis={axis!r} is not an axis after the batch")
    return call.emit(Expand(axis=axis % rank - rank), value, axes=in_order(rank - 1))


@converts("ops.Squeeze")
def squeeze(call: LayerCall) -> Value:
    """Axes of size 1 removed."""
    value = call.as_in_keras(call.inputs[0])
    axis = call.argument(1, "axis", None)
    listed = axis if isinstance(axis, list) else [axis]
    if not are_ints(listed) or not listed:
        call.refuse(f"axis={axis!r} is not an axis or a list of axes")
    axes = sorted(value.axis(a) for a in listed)
    for i, negative_axis in enumerate(axes):
        stage = f"axis{i}" if i < len(axes) - 1 else ""
        value = call.emit(Squeeze(axis=negative_axis), value, stage=stage)
    return value


@converts("ops.Concatenate")
def concatenate(call: LayerCall) -> Value:
    """Tensors concatenated along an axis."""
    values = aligned(call)
    return call.emit(Concatenate(axis=values[0].axis(call.argument(1, "axis", -1))), *values)


@converts("ops.Hstack", "ops.Dstack")
def joined_by_name(call: LayerCall) -> Value:
    """Tensors concatenated along the first, or second, axis after the batch."""
    values = aligned(call)
    axis = 1 if call.layer.class_name == "Hstack" else 2
    if axis >= len(values[0].shape) + 1:
        call.refuse(f"concatenates along axis {axis}, which shape {values[0].keras_shape} lacks")
    return call.emit(Concatenate(axis=values[0].axis(axis)), *values)


@converts("ops.Stack")
def stack(call: LayerCall) -> Value:
    """Tensors stacked along a new axis."""
    return stacked(call, call.argument(1, "axis", 0))


def stacked(call: LayerCall, axis: Json) -> Value:
    """Emit a new axis for every input, and their concatenation along that axis.

    Args:
        call: The function's call.
        axis: Keras' new axis.
    """
    values = [call.as_in_keras(value) for value in call.inputs]
    rank = len(values[0].shape) + 2
    if type(axis) is not int or not axis % rank:
        call.refuse(f"axis={axis!r} is not an axis after the batch")
    place = axis % rank - rank
    expanded = [
        call.emit(Expand(axis=place), value, stage=f"part{i}", axes=in_order(rank - 1))
        for i, value in enumerate(values)
    ]
    return call.emit(Concatenate(axis=place), *expanded)


@converts("ops.Split")
def split(call: LayerCall) -> list[Value]:
    """A tensor split along an axis; the parts are named `NAME/0`, `NAME/1` and so on."""
    return parts(call, call.argument(1, "indices_or_sections"), call.argument(2, "axis", 0))


@converts("ops.ArraySplit")
def uneven_split(call: LayerCall) -> list[Value]:
    """A tensor split into a number of parts, of which the first may be one longer."""
    count, axis = call.option("indices_or_sections"), call.option("axis", 0)
    size = call.input.shape[call.input.axis(axis)]
    if type(count) is not int or size is None or not 0 < count <= size:
        return parts(call, count, axis)
    longer = size % count
    places = [i * (size // count) + min(i, longer) for i in range(1, count)]
    return parts(call, places, axis)


@converts("ops.Unstack")
def unstack(call: LayerCall) -> list[Value]:
    """One tensor for each position along an axis."""
    axis = call.option("axis", 0)
    value = call.as_in_keras(call.input)
    size, place = value.shape[value.axis(axis)], value.axis(axis)
    call.require("num", None, size)
    if size is None or size > _MOST_PARTS:
        call.refuse(f"splits an axis of {size} positions, expected at most {_MOST_PARTS}")
    results = []
    for i in range(size):
        bounds = [_WHOLE] * len(value.shape)
        bounds[place] = (i, i + 1, 1)
        thin = call.emit(Slice(bounds=tuple(bounds)), value, stage=f"{i}/slice")
        results.append(call.emit(Squeeze(axis=place), thin, stage=str(i)))
    return results


def parts(call: LayerCall, sections: object, axis: int) -> list[Value]:
    """Emit the parts of the first input.

    Args:
        call: The function's call.
        sections: A number of equal parts, or the places between parts.
        axis: Keras' axis.
    """
    value = call.inputs[0]
    place = value.axis(axis)
    size = value.shape[place]
    if type(sections) is int and sections > 0 and size is not None and size % sections == 0:
        places = list(range(0, size + 1, size // sections))
    elif are_ints(sections) and min(sections, default=0) >= 0 and size:
        places = [0, *sections, size]
    else:
        call.refuse(f"cannot split {size} positions into {sections!r}")
    if len(places) > 1 + _MOST_PARTS:
        call.refuse(f"splits into {len(places) - 1} parts, expected at most {_MOST_PARTS}")
    results = []
    for i, (start, stop) in enumerate(zip(places, places[1:], strict=False)):
        bounds = [_WHOLE] * len(value.shape)
        bounds[place] = (start, stop, 1)
        results.append(call.emit(Slice(bounds=tuple(bounds)), value, stage=str(i)))
    return results


@converts("ops.Flip", "ops.Fliplr")
def flip(call: LayerCall) -> Value:
    """Positions along some axes in reverse order."""
    value = call.input
    axis = 1 if call.layer.class_name == "Fliplr" else call.option("axis", None)
    listed = axis if isinstance(axis, list) else [axis]
    if not are_ints(listed):
        call.refuse(f"axis={axis!r} includes the batch")
    bounds = [_WHOLE] * len(value.shape)
    for a in listed:
        bounds[value.axis(a)] = (None, None, -1)
    return call.emit(Slice(bounds=tuple(bounds)), value)


@converts("ops.Slice")
def slice_from(call: LayerCall) -> Value:
    """A block of a given start and shape, with the whole batch."""
    start, shape = call.argument(1, "start_indices"), call.option("shape")
    value = call.as_in_keras(call.inputs[0])
    rank = len(value.shape) + 1
    if not are_ints(start) or not are_ints(shape) or (len(start), len(shape)) != (rank, rank):
        call.refuse(f"takes shape {shape!r} from {start!r}, expected a number for each axis")
    if start[0] != 0 or shape[0] != -1:
        call.refuse("takes a part of the batch")
    bounds = tuple(
        (a, None if n == -1 else a + n, 1) for a, n in zip(start[1:], shape[1:], strict=True)
    )
    return call.emit(Slice(bounds=bounds), value)


@converts("ops.GetItem")
def get_item(call: LayerCall) -> Value:
    """Indexing by slices, numbers and an ellipsis."""
    return indexed(call, call.argument(1, "key"))


def indexed(call: LayerCall, key: Json) -> Value:
    """Emit an indexing of the first input.

    Args:
        call: The function's call.
        key: Entries as Keras 3 writes them; the first must take the whole batch.
    """
    value = call.as_in_keras(call.inputs[0])
    entries: list[Json] = list(key) if isinstance(key, list | tuple) else [key]
    rank = len(value.shape) + 1
    dots = [i for i, entry in enumerate(entries) if _is(entry, "__ellipsis__")]
    whole: Json = {"class_name": "__slice__", "config": {}}
    if dots:
        left = rank - (len(entries) - 1)
        entries[dots[0] : dots[0] + 1] = [whole] * left
    entries += [whole] * (rank - len(entries))
    if len(entries) != rank or any(not (_is(e, "__slice__") or type(e) is int) for e in entries):
        call.refuse(f"indexes with {str(key)[:80]!r}, which is not slices and whole numbers")
    bounds, dropped = [_bounds(entry) for entry in entries], []
    for place, entry in enumerate(entries):
        if type(entry) is int:
            dropped.append(place - rank)
    if bounds[0] != _WHOLE:
        call.refuse("takes a part of the batch")
    taken = Slice(bounds=tuple(bounds[1:]))
    value = call.emit(taken, value, stage="step0" if dropped else "")
    for i, axis in enumerate(dropped, start=1):
        value = call.emit(Squeeze(axis=axis), value, stage=f"step{i}" if i < len(dropped) else "")
    return value


def _bounds(entry: Json) -> Bounds:
    """The bounds of a whole number, or of a slice as Keras 3 writes it."""
    if type(entry) is int:
        return (entry, entry + 1 if entry != -1 else None, 1)
    config = cast(dict[str, dict[str, int | None]], entry)["config"]
    start, stop, step = (config.get(name) for name in ("start", "stop", "step"))
    return (start, stop, 1 if step is None else step)


def _is(entry: Json, name: str) -> bool:
    """Whether an entry is an object of this class, with a configuration."""
    return (
        isinstance(entry, dict)
        and entry.get("class_name") == name
        and isinstance(entry.get("config"), dict)
    )


@converts("ops.Pad")
def pad(call: LayerCall) -> Value:
    """Zeros around the tensor."""
    call.require("mode", "constant")
    if call.argument(3, "constant_values", None) not in (None, 0, 0.0):
        call.refuse("pads with another value than zero")
    return padded(call, call.argument(1, "pad_width"))


def padded(call: LayerCall, width: Json) -> Value:
    """Emit a padding of the first input.

    Args:
        call: The function's call.
        width: (before, after) for each of Keras' axes, the batch included.
    """
    value = call.inputs[0]
    pairs = [_pair(call, pair) for pair in width] if isinstance(width, list) else []
    if len(pairs) != len(value.shape) + 1 or pairs[0] != (0, 0):
        call.refuse(f"pads by {width!r}, expected a pair for each axis and none for the batch")
    mine = [pairs[1 + value.axes.index(axis)] for axis in range(len(value.shape))]
    if mine[-1] != (0, 0):
        call.refuse("pads the channels, which a spec cannot express")
    return call.emit(Pad(amounts=tuple(mine[:-1])), value)


def _pair(call: LayerCall, pair: Json) -> tuple[int, int]:
    if not are_ints(pair) or len(pair) != 2:
        call.refuse(f"pads by {pair!r}, which is not a pair of whole numbers")
    return pair[0], pair[1]


@converts("ops.Resize")
def resize(call: LayerCall) -> Value:
    """A map resized."""
    for option in ("crop_to_aspect_ratio", "pad_to_aspect_ratio"):
        call.require(option, False)
    call.ignore("fill_mode", "fill_value")
    size = call.option("size")
    op = Resize(
        size=tuple(size), interpolation=call.option("interpolation", "bilinear"),
        antialias=bool(call.option("antialias", False)),
    )  # fmt: skip
    return call.emit(op, call.image(2))
