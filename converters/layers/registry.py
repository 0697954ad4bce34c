"""Which function converts which Keras class."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from converters.layers.call import LayerCall, Value
from converters.network import Layer

#: Emits the operations of one call and returns the layer's output, or a list of several.
Converter = Callable[[LayerCall], Value | list[Value]]

ConverterT = TypeVar("ConverterT", bound=Converter)

#: Keras' own classes, and as `ops.NAME` its functions in a graph.
CONVERTERS: dict[str, Converter] = {}
#: Why those of them that cannot be converted cannot.
REFUSED: dict[str, str] = {}
#: Classes that users have registered; they come first.
CUSTOM: dict[str, Converter] = {}


def refuses(reason: str, *class_names: str) -> None:
    """Register why these Keras classes cannot be converted."""

    def converter(call: LayerCall) -> Value:
        return call.refuse(reason)

    for name in class_names:
        REFUSED[name] = reason
        CONVERTERS[name] = converter


def converter_of(layer: Layer) -> Converter | None:
    """The converter of a layer's class, if there is one."""
    if layer.operation:
        return CONVERTERS.get(f"ops.{layer.class_name}")
    built_in = None if layer.package else CONVERTERS.get(layer.class_name)
    return CUSTOM.get(layer.class_name, built_in)


def converts(*class_names: str) -> Callable[[ConverterT], ConverterT]:
    """Register a function as the converter of these Keras classes."""

    def register(function: ConverterT) -> ConverterT:
        for name in class_names:
            CONVERTERS[name] = function
        return function

    return register
