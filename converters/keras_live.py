"""Live models as neutral networks, read through their configuration like a file.

This module imports no Keras, because a live model has its own.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from converters.config import parse_model, parse_version
from converters.network import Layer, Network
from converters.weights import LegacyStore, NamedArray, OpenedModel, SlotsOf, Stored
from jaxviz.errors import ModelFileError
from jaxviz.spec import Source

#: A `keras.Model` of any backend, or a `tf_keras.Model`; neither package is imported here.
KerasModel: TypeAlias = Any


def read_live(model: KerasModel) -> OpenedModel:
    """A live model's network and weights.

    Args:
        model: A built Sequential or Functional model.

    Raises:
        ModelFileError: If the model is of another kind, or not built.
    """
    if not all(hasattr(model, name) for name in ("to_json", "layers", "get_config")):
        raise ModelFileError(
            f"cannot convert a {type(model).__name__}: expected a live Keras model"
        )
    try:
        document = json.loads(model.to_json())
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"cannot read the configuration of model {model.name!r}: {error}",
            hint="Only Sequential and Functional models can be converted.",
        ) from error
    stated = document.get("keras_version") or _version(model)
    network = parse_model(document, parse_version(stated))
    return OpenedModel(network, LiveStore(model), Source(framework=f"keras {stated}"))


def read_saved_model(path: Path) -> OpenedModel:
    """Read a Keras SavedModel through TensorFlow, which can run the code in it.

    Args:
        path: The folder of the SavedModel.

    Raises:
        ModelFileError: If TensorFlow is not installed, or the folder holds no Keras model.
    """
    try:
        import tf_keras
    except ImportError:
        raise ModelFileError(
            f"cannot read the SavedModel {path.name!r} without TensorFlow",
            hint="Install it: pip install 'jaxviz-atlas[keras]'",
        ) from None
    try:
        model = tf_keras.models.load_model(path, compile=False)
    except Exception as error:  # TensorFlow raises exceptions of many types
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelFileError(
            f"TensorFlow cannot load {path.name!r}: {first}",
            hint="Save the model as .keras, which jaxviz reads without TensorFlow.",
        ) from error
    opened = read_live(model)
    return opened._replace(source=opened.source.model_copy(update={"file": path.name}))


@lru_cache(maxsize=1)
def call_for_model(target: str) -> KerasModel:
    """Import a module and call a function in it that returns a live model.

    The call runs the user's own code, so only a command line or a program may name the
    function. The last model is kept, because a second call might return other weights.

    Args:
        target: `module:function`.

    Returns:
        The live model.

    Raises:
        ModelFileError: If there is no such function.
    """
    module, _, name = target.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelFileError(
            f"there is no function {target!r}: {error}",
            hint="Name an importable function: MODULE:FUNCTION.",
        ) from error
    return function()


def _version(model: KerasModel) -> str:
    package = type(model).__module__.split(".")[0]
    bases = {base.__module__.split(".")[0] for base in type(model).__mro__}
    for name in (package, "keras", "tf_keras"):
        if name in bases and hasattr(sys.modules.get(name), "__version__"):
            return str(sys.modules[name].__version__)
    return "3"


@dataclass(frozen=True)
class LiveArray:
    """A variable of a live model.

    Attributes:
        variable: The variable, of any backend.
    """

    variable: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the variable."""
        return tuple(self.variable.shape)

    def load(self) -> np.ndarray:
        """Copy the values, as float32."""
        values = self.variable.numpy() if hasattr(self.variable, "numpy") else self.variable
        return np.array(values, np.float32)


class LiveStore:
    """The variables of a live model, layer by layer.

    Args:
        model: The live model.
    """

    def __init__(self, model: KerasModel) -> None:
        self._model = model

    def arrays(self, network: Network, slots_of: SlotsOf) -> Iterator[tuple[Layer, Stored]]:
        """Match layers by name, in nested models too."""
        yield from self._within(self._model, network, slots_of)

    def _within(
        self, model: KerasModel, network: Network, slots_of: SlotsOf
    ) -> Iterator[tuple[Layer, Stored]]:
        live = {layer.name: layer for layer in model.layers}
        plain = {}
        for layer in network.layers:
            if layer.name not in live:
                continue
            inner = live[layer.name]
            if layer.class_name == "TimeDistributed":
                inner = inner.layer
            if layer.network is not None and hasattr(inner, "layers"):
                yield from self._within(inner, layer.network, slots_of)
                continue
            variables = [*inner.trainable_weights, *inner.non_trainable_weights]
            plain[layer.name] = [NamedArray("", LiveArray(v)) for v in variables]
        leaves = tuple(layer for layer in network.layers if layer.name in plain)
        flat = Network(network.name, leaves, (), (), network.keras)
        yield from LegacyStore(plain).arrays(flat, slots_of)
