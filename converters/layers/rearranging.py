"""Functions in a graph that move values around: reshaping, indexing, joining, cutting."""

from __future__ import annotations

from typing import Any

from converters.layers.call import LayerCall, Value, in_order
from converters.layers.elementwise import aligned
from converters.layers.registry import converts
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


@converts("ops.Reshape")
def reshape(call: LayerCall) -> Value:
    """Same values in Keras' order, other shape."""
    return reshaped(call, call.argument(1, "newshape"))


def reshaped(call: LayerCall, shape: Any) -> Value:
    """Emit a reshape whose first axis is the batch."""
    value = call.as_in_keras(call.inputs[0])
    shape = [-1 if n is None else n for n in shape] if isinstance(shape, list) else shape
    if not isinstance(shape, list) or any(type(n) is not int for n in shape) or shape[0] != -1:
        return call.refuse(f"reshapes to {str(shape)[:60]!r}, which does not keep the batch axis")
    if shape[1:].count(-1) > 1:
        call.refuse(f"reshapes to {shape!r}, where two sizes are open")
    if len(shape) == 2 and shape[1] == -1:
        return call.emit(Flatten(), value, axes=in_order(1))
    return call.emit(Reshape(shape=tuple(shape[1:])), value, axes=in_order(len(shape) - 1))


@converts("ops.Transpose")
def transpose(call: LayerCall) -> Value:
    """Axes in another order."""
    return permuted(call, call.argument(1, "axes"))


def permuted(call: LayerCall, axes: Any) -> Value:
    """Emit a permutation of Keras' axes, the batch first."""
    value = call.as_in_keras(call.inputs[0])
    rank = len(value.axes) + 1
    if not isinstance(axes, list) or not all(type(axis) is int for axis in axes):
        return call.refuse(f"axes={axes!r} are not an order of axes")
    order = [axis % rank for axis in axes]
    if sorted(order) != list(range(rank)) or order[0] != 0:
        call.refuse(f"axes={axes!r} move the batch axis")
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
        call.refuse(f"moves axes {source!r} to {destination!r}")
    order = [axis for axis in range(rank) if axis != source % rank]
    order.insert(destination % rank, source % rank)
    return permuted(call, order)


@converts("ops.ExpandDims")
def expand_dims(call: LayerCall) -> Value:
    """A new axis of size 1."""
    value = call.as_in_keras(call.inputs[0])
    rank, axis = len(value.shape) + 2, call.argument(1, "axis")
    if type(axis) is not int or not axis % rank:
        call.refuse(f"axis={axis!r} comes before the batch")
    return call.emit(Expand(axis=axis % rank - rank), value, axes=in_order(rank - 1))


@converts("ops.Squeeze")
def squeeze(call: LayerCall) -> Value:
    """Axes of size 1 taken away."""
    value = call.as_in_keras(call.inputs[0])
    axis = call.argument(1, "axis", None)
    listed = axis if isinstance(axis, list) else [axis]
    if any(type(a) is not int for a in listed) or not listed:
        return call.refuse(f"axis={axis!r} does not say which")
    axes = sorted(value.axis(a) for a in listed)
    for i, negative_axis in enumerate(axes):
        stage = f"axis{i}" if i < len(axes) - 1 else ""
        value = call.emit(Squeeze(axis=negative_axis), value, stage=stage)
    return value


@converts("ops.Concatenate")
def concatenate(call: LayerCall) -> Value:
    """Tensors joined along an axis."""
    values = aligned(call)
    return call.emit(Concatenate(axis=values[0].axis(call.argument(1, "axis", -1))), *values)


@converts("ops.Hstack", "ops.Dstack")
def joined_by_name(call: LayerCall) -> Value:
    """Tensors joined along the first, or second, axis after the batch."""
    values = aligned(call)
    axis = 1 if call.layer.class_name == "Hstack" else 2
    if axis >= len(values[0].shape) + 1:
        call.refuse(f"joins along the batch axis of shape {values[0].keras_shape}")
    return call.emit(Concatenate(axis=values[0].axis(axis)), *values)


@converts("ops.Stack")
def stack(call: LayerCall) -> Value:
    """Tensors joined along a new axis."""
    return stacked(call, call.argument(1, "axis", 0))


def stacked(call: LayerCall, axis: Any) -> Value:
    """Emit a new axis for every tensor, and their concatenation along it."""
    values = [call.as_in_keras(value) for value in call.inputs]
    rank = len(values[0].shape) + 2
    if type(axis) is not int or not axis % rank:
        return call.refuse(f"axis={axis!r} comes before the batch")
    place = axis % rank - rank
    expanded = [
        call.emit(Expand(axis=place), value, stage=f"part{i}", axes=in_order(rank - 1))
        for i, value in enumerate(values)
    ]
    return call.emit(Concatenate(axis=place), *expanded)


@converts("ops.Split")
def split(call: LayerCall) -> list[Value]:
    """A tensor cut along an axis; the parts are `NAME/0`, `NAME/1`, …."""
    return parts(call, call.argument(1, "indices_or_sections"), call.argument(2, "axis", 0))


@converts("ops.ArraySplit")
def uneven_split(call: LayerCall) -> list[Value]:
    """A tensor cut into so many parts, the first of which may be one longer."""
    count, axis = call.option("indices_or_sections"), call.option("axis", 0)
    size = call.input.shape[call.input.axis(axis)]
    if type(count) is not int or size is None or not 0 < count <= size:
        return parts(call, count, axis)
    longer = size % count
    places = [i * (size // count) + min(i, longer) for i in range(1, count)]
    return parts(call, places, axis)


@converts("ops.Unstack")
def unstack(call: LayerCall) -> list[Value]:
    """The slices along an axis, without it."""
    axis = call.option("axis", 0)
    value = call.as_in_keras(call.input)
    size, place = value.shape[value.axis(axis)], value.axis(axis)
    call.require("num", None, size)
    if size is None or size > _MOST_PARTS:
        return call.refuse(f"makes {size} tensors of one")
    every: list[Any] = [(None, None, 1)] * len(value.shape)
    results = []
    for i in range(size):
        bounds = [*every[: place + len(every)], (i, i + 1, 1), *every[place + len(every) + 1 :]]
        thin = call.emit(Slice(bounds=tuple(bounds)), value, stage=f"{i}/slice")
        results.append(call.emit(Squeeze(axis=place), thin, stage=str(i)))
    return results


#: No real network cuts a tensor into more.
_MOST_PARTS = 4096


def parts(call: LayerCall, sections: Any, axis: int) -> list[Value]:
    """Emit slices: so many equal parts, or parts between these places."""
    value = call.inputs[0]
    place = value.axis(axis)
    size = value.shape[place]
    if type(sections) is int and sections > 0 and size is not None and size % sections == 0:
        places = list(range(0, size + 1, size // sections))
    elif isinstance(sections, list) and all(type(n) is int and n >= 0 for n in sections) and size:
        places = [0, *sections, size]
    else:
        return call.refuse(f"cannot cut {size} positions into {sections!r}")
    if len(places) > 1 + _MOST_PARTS:
        call.refuse(f"cuts into {len(places) - 1} parts")
    every = [(None, None, 1)] * len(value.shape)
    results = []
    for i, (start, stop) in enumerate(zip(places, places[1:], strict=False)):
        bounds: list[Any] = list(every)
        bounds[place] = (start, stop, 1)
        results.append(call.emit(Slice(bounds=tuple(bounds)), value, stage=str(i)))
    return results


@converts("ops.Flip", "ops.Fliplr")
def flip(call: LayerCall) -> Value:
    """The order along some axes turned round."""
    value = call.input
    axis = 1 if call.layer.class_name == "Fliplr" else call.option("axis", None)
    listed = axis if isinstance(axis, list) else [axis]
    if any(type(a) is not int for a in listed):
        return call.refuse(f"axis={axis!r} takes in the batch")
    bounds: list[Any] = [(None, None, 1)] * len(value.shape)
    for a in listed:
        bounds[value.axis(a)] = (None, None, -1)
    return call.emit(Slice(bounds=tuple(bounds)), value)


@converts("ops.Slice")
def slice_from(call: LayerCall) -> Value:
    """So many positions from a start along every axis, the batch taken whole."""
    start, shape = call.argument(1, "start_indices"), call.option("shape")
    value = call.as_in_keras(call.inputs[0])
    if not _numbers(start, len(value.shape) + 1) or not _numbers(shape, len(value.shape) + 1):
        return call.refuse(f"takes {shape!r} from {start!r}")
    if start[0] != 0 or shape[0] != -1:
        call.refuse("takes only some images of the batch")
    bounds = tuple(
        (a, None if n == -1 else a + n, 1) for a, n in zip(start[1:], shape[1:], strict=True)
    )
    return call.emit(Slice(bounds=bounds), value)


def _numbers(value: Any, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(type(n) is int for n in value)


@converts("ops.GetItem")
def get_item(call: LayerCall) -> Value:
    """Indexing by slices, numbers and an ellipsis."""
    return indexed(call, call.argument(1, "key"))


def indexed(call: LayerCall, key: Any) -> Value:
    """Emit an indexing; its first entry is for the batch and must take all of it."""
    value = call.as_in_keras(call.inputs[0])
    entries = list(key) if isinstance(key, list | tuple) else [key]
    rank = len(value.shape) + 1
    dots = [i for i, entry in enumerate(entries) if _is(entry, "__ellipsis__")]
    whole: Any = {"class_name": "__slice__", "config": {}}
    if dots:
        left = rank - (len(entries) - 1)
        entries[dots[0] : dots[0] + 1] = [whole] * left
    entries += [whole] * (rank - len(entries))
    if len(entries) != rank or any(not (_is(e, "__slice__") or type(e) is int) for e in entries):
        return call.refuse(f"indexes with {str(key)[:80]!r}")
    bounds, dropped = [], []
    for place, entry in enumerate(entries):
        if type(entry) is int:
            bounds.append((entry, entry + 1 if entry != -1 else None, 1))
            dropped.append(place - rank)
        else:
            start, stop, step = (entry["config"].get(k) for k in ("start", "stop", "step"))
            bounds.append((start, stop, 1 if step is None else step))
    if bounds[0] != (None, None, 1):
        call.refuse("takes only some images of the batch")
    for i, axis in enumerate(["slice", *dropped]):
        op = Slice(bounds=tuple(bounds[1:])) if axis == "slice" else Squeeze(axis=axis)  # type: ignore[arg-type]
        value = call.emit(op, value, stage=f"step{i}" if i < len(dropped) else "")
    return value


def _is(entry: Any, name: str) -> bool:
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
        call.refuse("pads with something else than zero")
    return padded(call, call.argument(1, "pad_width"))


def padded(call: LayerCall, width: Any) -> Value:
    """Emit padding given as (before, after) for every axis, the batch included."""
    value = call.inputs[0]
    pairs = [tuple(pair) for pair in width] if isinstance(width, list) else []
    if len(pairs) != len(value.shape) + 1 or pairs[0] != (0, 0):
        return call.refuse(f"pads by {width!r}")
    mine = [pairs[1 + value.axes.index(axis)] for axis in range(len(value.shape))]
    if mine[-1] != (0, 0):
        call.refuse("pads the channels")
    return call.emit(Pad(amounts=tuple(mine[:-1])), value)


@converts("ops.Resize")
def resize(call: LayerCall) -> Value:
    """A map at another size."""
    for option in ("crop_to_aspect_ratio", "pad_to_aspect_ratio"):
        call.require(option, False)
    call.ignore("fill_mode", "fill_value")
    size = call.option("size")
    op = Resize(
        size=tuple(size), interpolation=call.option("interpolation", "bilinear"),
        antialias=bool(call.option("antialias", False)),
    )  # fmt: skip
    return call.emit(op, call.image(2))
