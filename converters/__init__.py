"""Keras models, read without Keras and lowered to jaxviz specs."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxviz.bundle import Bundle

__all__ = ["convert_file", "from_keras", "recognises", "verify"]


def __getattr__(name: str) -> Any:
    if name == "verify":  # imports JAX
        return importlib.import_module("converters.verify")
    raise AttributeError(f"module 'converters' has no attribute {name!r}")


def recognises(path: Path) -> bool:
    """Whether a path looks like a model that `convert_file` reads; cheap, by content."""
    from converters.keras_file import sniff

    return sniff(path) is not None


def convert_file(
    path: Path | str, *, weights: Path | None = None, until: str | None = None
) -> Bundle:
    """Convert a Keras model file, from the file alone.

    Nothing in the file is executed; neither Keras nor TensorFlow is imported.

    Args:
        path: A `.keras` file or HDF5, whatever its ending.
        weights: A file to take the weights from instead.
        until: Leave out everything after this layer.

    Returns:
        The architecture and its weights, channels last, float32.

    Raises:
        ModelFileError: If the file is missing, damaged or not a model.
        ConversionError: Naming every layer that cannot be converted.
        LayerError: If `until` does not exist.
    """
    from converters.keras_file import read
    from converters.lower import convert

    network, store, source = read(Path(path))
    return convert(network, store, source, until)


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

    network, store, source = read_live(model)
    return convert(network, store, source, until)
