"""Combinations of several tensors, and fixed arithmetic."""

from __future__ import annotations

from converters.layers.call import LayerCall
from converters.layers.registry import converts
from converters.layers.value import Value
from jaxviz.spec import Affine, Merge

_KINDS = {
    "Add": "add", "Subtract": "subtract", "Multiply": "multiply",
    "Average": "average", "Maximum": "maximum", "Minimum": "minimum",
}  # fmt: skip


@converts(*_KINDS)
def merge(call: LayerCall) -> Value:
    """Elementwise combination of two or more tensors."""
    values = aligned(call)
    return call.emit(Merge(kind=_KINDS[call.layer.class_name]), *values)


def aligned(call: LayerCall) -> list[Value]:
    """The inputs, rearranged to one order of axes if they differ."""
    values = list(call.inputs)
    if len({value.axes for value in values}) > 1:
        values = [call.as_in_keras(value) for value in values]
    return values


@converts("Rescaling")
def rescaling(call: LayerCall) -> Value:
    """Each value times `scale`, plus `offset`."""
    scale, offset = (call.option(name, default) for name, default in (("scale", 1), ("offset", 0)))
    numbers = [n if isinstance(n, list) else [n] for n in (scale, offset)]
    value = call.input if all(len(n) == 1 for n in numbers) else call.as_in_keras(call.input)
    return call.emit(Affine(scale=tuple(numbers[0]), offset=tuple(numbers[1])), value)


@converts("CustomScaleLayer")
def scaled_residual(call: LayerCall) -> Value:
    """The sum x + y · scale, in the InceptionResNetV2 of keras.applications."""
    first, second = aligned(call)
    scaled = Affine(scale=(call.option("scale"),), offset=(0.0,))
    return call.emit(Merge(kind="add"), first, call.emit(scaled, second, stage="scaled"))
