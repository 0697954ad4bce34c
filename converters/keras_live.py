"""Live models as neutral networks: their configuration is read like that of a file.

Nothing is imported: the model brings its own Keras.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from converters.config import parse_model, parse_version
from converters.network import Layer, Network
from converters.weights import LegacyStore, SlotsOf, Store, Stored
from jaxviz.errors import ModelFileError
from jaxviz.spec import Source


def read_live(model: Any) -> tuple[Network, Store, Source]:
    """A live model's network and weights.

    Raises:
        ModelFileError: If it is not a built Sequential or Functional model.
    """
    if not all(hasattr(model, name) for name in ("to_json", "layers", "get_config")):
        raise ModelFileError(f"expected a Keras model, found {type(model).__name__!r}")
    try:
        document = json.loads(model.to_json())
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"the model {model.name!r} has no configuration to read: {error}",
            hint="Only Sequential and Functional models can be converted.",
        ) from error
    stated = document.get("keras_version") or _version(model)
    network = parse_model(document, parse_version(stated))
    return network, LiveStore(model), Source(framework=f"keras {stated}")


def read_saved_model(path: Path) -> tuple[Network, Store, Source]:
    """A Keras SavedModel, through TensorFlow; loading one can run what is in it.

    Raises:
        ModelFileError: If TensorFlow is not installed, or the folder holds no Keras model.
    """
    try:
        import tf_keras
    except ImportError:
        raise ModelFileError(
            f"reading the SavedModel {path.name!r} needs TensorFlow",
            hint="pip install 'jaxviz-atlas[keras]'",
        ) from None
    try:
        model = tf_keras.models.load_model(path, compile=False)
    except Exception as error:  # TensorFlow raises whatever it likes
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelFileError(f"TensorFlow cannot load {path.name!r}: {first}") from error
    network, store, source = read_live(model)
    return network, store, source.model_copy(update={"file": path.name})


@lru_cache(maxsize=1)
def call_for_model(target: str) -> Any:
    """Import a module and call a function in it that returns a live model.

    This runs the user's own code, so only a command line or a program may name it. The last
    model is kept: called again, the function might give other weights to compare with.

    Args:
        target: `module:function`.

    Raises:
        ModelFileError: If there is no such function.
    """
    module, _, name = target.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelFileError(f"there is no function {target!r}: {error}") from error
    return function()


def _version(model: Any) -> str:
    package = type(model).__module__.split(".")[0]
    bases = {base.__module__.split(".")[0] for base in type(model).__mro__}
    for name in (package, "keras", "tf_keras"):
        if name in bases and hasattr(sys.modules.get(name), "__version__"):
            return str(sys.modules[name].__version__)
    return "3"


@dataclass(frozen=True)
class LiveArray:
    """A variable of a live model."""

    variable: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.variable.shape)

    def load(self) -> np.ndarray:
        """The values as float32."""
        values = self.variable.numpy() if hasattr(self.variable, "numpy") else self.variable
        return np.array(values, np.float32)


class LiveStore:
    """The variables of a live model, layer by layer."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def arrays(self, network: Network, slots_of: SlotsOf) -> Iterator[tuple[Layer, Stored]]:
        """By layer name, nested models included."""
        yield from self._within(self._model, network, slots_of)

    def _within(
        self, model: Any, network: Network, slots_of: SlotsOf
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
            plain[layer.name] = [("", LiveArray(v)) for v in variables]
        leaves = tuple(layer for layer in network.layers if layer.name in plain)
        flat = Network(network.name, leaves, (), (), network.keras)
        yield from LegacyStore(plain).arrays(flat, slots_of)
