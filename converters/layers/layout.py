"""Padding, cropping, upsampling, reshaping and concatenation."""

from __future__ import annotations

from converters.document import are_ints
from converters.layers.call import LayerCall
from converters.layers.elementwise import aligned
from converters.layers.registry import converts
from converters.layers.value import Value, in_order
from jaxviz.spec import (
    Concatenate,
    Crop,
    Flatten,
    Pad,
    Permute,
    RepeatVector,
    Reshape,
    Upsample,
)


@converts("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def zero_padding(call: LayerCall) -> Value:
    """Zeros around the map."""
    image = call.image(call.numbered())
    return call.emit(Pad(amounts=_pairs(call, "padding")), image)


@converts("Cropping1D", "Cropping2D", "Cropping3D")
def cropping(call: LayerCall) -> Value:
    """Rows and columns cropped."""
    image = call.image(call.numbered())
    return call.emit(Crop(amounts=_pairs(call, "cropping")), image)


def _pairs(call: LayerCall, name: str) -> tuple[tuple[int, int], ...]:
    """An option that is one number, one number per axis, or a (before, after) pair per axis."""
    rank = call.numbered()
    value = call.option(name, 1)
    if rank == 1 and are_ints(value):
        value = [value]
    entries = value if isinstance(value, list) else [value] * rank
    pairs = [entry if isinstance(entry, list) else [entry, entry] for entry in entries]
    if len(pairs) != rank or not all(
        len(pair) == 2 and all(type(n) is int and 0 <= n < 1 << 20 for n in pair) for pair in pairs
    ):
        call.refuse(f"{name}={value!r} is not a pair of amounts for each of {rank} axes")
    return tuple((pair[0], pair[1]) for pair in pairs)


@converts("UpSampling1D", "UpSampling2D", "UpSampling3D")
def upsampling(call: LayerCall) -> Value:
    """Enlargement by whole factors."""
    rank = call.numbered()
    image = call.image(rank)
    op = Upsample(
        factors=call.sizes("size", rank, 2), interpolation=call.option("interpolation", "nearest")
    )
    return call.emit(op, image)


@converts("Concatenate")
def concatenate(call: LayerCall) -> Value:
    """Tensors concatenated along one axis."""
    values = aligned(call)
    op = Concatenate(axis=values[0].axis(call.option("axis", -1)))
    return values[0] if len(values) == 1 else call.emit(op, *values)


@converts("Flatten")
def flatten(call: LayerCall) -> Value:
    """All axes in one; a `channels_first` Flatten moves the channels last before."""
    value = call.input
    if call.option("data_format", None) == "channels_first" and len(value.shape) > 1:
        value = call.arranged(value, call.image_axes(len(value.shape) - 1))
    else:
        value = call.as_in_keras(value)
    return call.emit(Flatten(), value, axes=in_order(1))


@converts("Reshape")
def reshape(call: LayerCall) -> Value:
    """Another shape of equal size; values keep Keras' order."""
    value = call.as_in_keras(call.input)
    shape = call.option("target_shape")
    if not are_ints(shape):
        call.refuse(f"target_shape={shape!r} is not a list of whole numbers")
    return call.emit(Reshape(shape=tuple(shape)), value, axes=in_order(len(shape)))


@converts("Permute")
def permute(call: LayerCall) -> Value:
    """Axes permuted."""
    value = call.as_in_keras(call.input)
    dims = call.option("dims")
    if not are_ints(dims) or min(dims, default=1) <= 0:
        call.refuse(f"dims={dims!r} is not a permutation of axes")
    return call.emit(Permute(order=tuple(n - 1 for n in dims)), value)


@converts("RepeatVector")
def repeat_vector(call: LayerCall) -> Value:
    """A vector repeated along a new first axis."""
    return call.emit(RepeatVector(times=call.option("n")), call.input)
