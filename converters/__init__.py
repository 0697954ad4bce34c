"""Keras models, read without Keras and lowered to jaxviz specs.

See README.md in this folder for the rules.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from converters.keras_live import KerasModel
    from converters.layers.registry import Converter
    from jaxviz.bundle import Bundle

__all__ = ["convert_file", "from_function", "from_keras", "recognises", "register", "verify"]


def __getattr__(name: str) -> ModuleType:
    if name == "verify":  # imports JAX
        return importlib.import_module("converters.verify")
    raise AttributeError(f"module 'converters' has no attribute {name!r}")


def recognises(path: Path) -> bool:
    """Whether `convert_file` reads a file, judged from its first bytes.

    Args:
        path: A file or folder.
    """
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

    Nothing in the file is executed. Keras and TensorFlow are never imported, except for a
    SavedModel.

    Args:
        path: A `.keras` file; HDF5 with any ending; a TensorFlow.js layers model (its
            model.json, or the folder); or an architecture as JSON, with `weights`.
        weights: Another file to take the weights from.
        until: Name of the last layer to keep; everything after it is left out.
        trust: Allow a SavedModel, which TensorFlow loads and which can run code.

    Returns:
        The architecture and its weights, channels last, float32.

    Raises:
        ModelFileError: If the file is missing, damaged or not a model.
        ConversionError: If layers cannot be converted; the error names every one of them.
        LayerError: If `until` does not exist.
    """
    from converters.convert import convert
    from converters.keras_file import read, sniff

    path = Path(path)
    if trust and sniff(path) == "saved_model":
        from converters.keras_live import read_saved_model

        return convert(*read_saved_model(path), until)
    return convert(*read(path, None if weights is None else Path(weights)), until)


def from_keras(model: KerasModel, *, until: str | None = None) -> Bundle:
    """Convert a live `keras.Model` (any backend) or `tf_keras.Model`.

    Args:
        model: A built Sequential or Functional model.
        until: Name of the last layer to keep; everything after it is left out.

    Returns:
        The architecture and its weights, channels last, float32.

    Raises:
        ModelFileError: If the model is not a built Sequential or Functional model.
        ConversionError: If layers cannot be converted; the error names every one of them.
        LayerError: If `until` does not exist.
    """
    from converters.convert import convert
    from converters.keras_live import read_live

    return convert(*read_live(model), until)


def from_function(target: str, *, until: str | None = None) -> Bundle:
    """Convert the live model that a user's function returns.

    Args:
        target: `module:function`. The function is imported and called, so never take its name
            from a file.
        until: Name of the last layer to keep; everything after it is left out.

    Returns:
        The architecture and its weights, channels last, float32.

    Raises:
        ModelFileError: If there is no such function, or it returns no Keras model.
        ConversionError: If layers cannot be converted; the error names every one of them.
        LayerError: If `until` does not exist.
    """
    from converters.keras_live import call_for_model

    return from_keras(call_for_model(target), until=until)


def register(class_name: str, converter: Converter) -> None:
    """Register a converter for a layer class of your own, without importing its code.

    Args:
        class_name: Name of the class in the file, without its package.
        converter: Reads the layer's options, declares the layer's arrays in the order in which
            the layer makes them, emits operations, and returns the layer's output.

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
