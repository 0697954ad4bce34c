"""Keras models, read without Keras and lowered to jaxviz specs."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from converters.layers.registry import Converter
    from jaxviz.bundle import Bundle

__all__ = ["convert_file", "from_function", "from_keras", "recognises", "register", "verify"]


def __getattr__(name: str) -> Any:
    if name == "verify":  # imports JAX
        return importlib.import_module("converters.verify")
    raise AttributeError(f"module 'converters' has no attribute {name!r}")


def recognises(path: Path) -> bool:
    """Whether a path looks like a model that `convert_file` reads; cheap, by content."""
    from converters.keras_file import sniff

    return sniff(path) is not None


def convert_file(
    path: Path | str,
    *,
    weights: Path | str | None = None,
    until: str | None = None,
    trust: bool = False,
) -> Bundle:
    """Convert a model file, from the file alone.

    Nothing in the file is executed; neither Keras nor TensorFlow is imported, except for a
    SavedModel.

    Args:
        path: A `.keras` file or HDF5, whatever its ending; a TensorFlow.js layers model (its
            model.json, or the folder); an architecture as JSON, with `weights`.
        weights: A file to take the weights from instead.
        until: Leave out everything after this layer.
        trust: Allow a SavedModel, which TensorFlow loads and which can run what is in it.

    Returns:
        The architecture and its weights, channels last, float32.

    Raises:
        ModelFileError: If the file is missing, damaged or not a model.
        ConversionError: Naming every layer that cannot be converted.
        LayerError: If `until` does not exist.
    """
    from converters.keras_file import read, sniff
    from converters.lower import convert

    path = Path(path)
    if trust and sniff(path) == "saved_model":
        from converters.keras_live import read_saved_model

        return convert(*read_saved_model(path), until)
    return convert(*read(path, None if weights is None else Path(weights)), until)


def from_keras(model: Any, *, until: str | None = None) -> Bundle:
    """Convert a live `keras.Model` (any backend) or `tf_keras.Model`.

    Args:
        model: A built Sequential or Functional model.
        until: Leave out everything after this layer.

    Raises:
        ConversionError: Naming every layer that cannot be converted.
    """
    from converters.keras_live import read_live
    from converters.lower import convert

    return convert(*read_live(model), until)


def from_function(target: str, *, until: str | None = None) -> Bundle:
    """Convert the live model that a function of the user's returns.

    Args:
        target: `module:function`. It is imported and called, so never take it from a file.
        until: Leave out everything after this layer.

    Raises:
        ModelFileError: If there is no such function.
        ConversionError: Naming every layer that cannot be converted.
    """
    from converters.keras_live import call_for_model

    return from_keras(call_for_model(target), until=until)


def register(class_name: str, converter: Converter) -> None:
    """Teach the converters a layer class of your own, without importing its code.

    Args:
        class_name: As the file has it, without its package.
        converter: Reads the layer's options, declares its arrays in the order in which the
            layer makes them, emits operations and returns the layer's output.

    Example:
        A layer that multiplies each channel by a learned number:

        >>> from jaxviz.spec import Scale
        >>> def my_scale(call):
        ...     value = call.as_in_keras(call.input)
        ...     op = Scale(shape=(value.shape[-1],))
        ...     return call.emit(op, value, weights={"scale": call.weight("factors")})
        >>> register("MyScale", my_scale)
    """
    from converters.layers.registry import CUSTOM

    CUSTOM[class_name] = converter
