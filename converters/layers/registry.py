"""The converter of each Keras class.

`converts` registers a converter, `refuses` a reason to have none. Every module of this
folder that does either is found by itself (see `converters.layers`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar

from converters.layers.call import LayerCall
from converters.layers.value import Value
from converters.network import Layer

#: Emits the operations of one call, and returns the layer's output or a list of outputs.
Converter = Callable[[LayerCall], Value | list[Value]]

ConverterT = TypeVar("ConverterT", bound=Converter)

#: Converters of Keras' own classes, and of its functions in a graph as `ops.NAME`.
CONVERTERS: dict[str, Converter] = {}
#: The reason for which each refused class is refused; these are in `CONVERTERS` too.
REFUSED: dict[str, str] = {}
#: Converters of classes that users have registered; they take precedence.
CUSTOM: dict[str, Converter] = {}


def converts(*class_names: str) -> Callable[[ConverterT], ConverterT]:
    """Register the decorated function as the converter of Keras classes.

    Args:
        class_names: Names without module; a function of `keras.ops` is `ops.NAME`.
    """

    def register(function: ConverterT) -> ConverterT:
        for name in class_names:
            _add(name, function)
        return function

    return register


def refuses(reason: str, *class_names: str) -> None:
    """Register why Keras classes cannot be converted.

    Args:
        reason: Continues a sentence that starts with the layer's name.
        class_names: As for `converts`.
    """

    def converter(call: LayerCall) -> NoReturn:
        call.refuse(reason)

    for name in class_names:
        REFUSED[name] = reason
        _add(name, converter)


def _add(name: str, converter: Converter) -> None:
    if name in CONVERTERS:
        raise ValueError(f"two converters are registered for the Keras class {name!r}")
    CONVERTERS[name] = converter


def converter_of(layer: Layer) -> Converter | None:
    """The converter of a layer's class; None if there is none."""
    if layer.operation:
        return CONVERTERS.get(f"ops.{layer.class_name}")
    built_in = None if layer.package else CONVERTERS.get(layer.class_name)
    return CUSTOM.get(layer.class_name, built_in)
