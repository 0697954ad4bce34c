"""Keras itself as the reference: load a model, and keep every layer's output.

Only this module and `keras_live` import Keras or TensorFlow, and only inside functions.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from converters.config import parse_version
from converters.hdf5 import read_hdf5
from converters.keras_file import sniff
from converters.keras_live import KerasModel
from jaxviz.errors import ModelFileError

#: A tensor of any backend, symbolic or with values.
Tensor: TypeAlias = Any


def load_keras(path: Path, weights: Path | None = None) -> KerasModel:
    """Load a model through Keras; `tf_keras` comes first for files of Keras 1 and 2.

    Args:
        path: A model file, a SavedModel, or an architecture as JSON.
        weights: A file of weights to load into the model.

    Returns:
        The live model.

    Raises:
        ModelFileError: If no Keras is installed, or none can load the file.
    """
    problems = []
    for package in _packages(path):
        try:
            return _load(package, path, weights)
        except ImportError:
            problems.append(f"{package}: not installed")
        except Exception as error:  # Keras raises exceptions of many types
            problems.append(f"{package}: {(str(error) or type(error).__name__).splitlines()[0]}")
    raise ModelFileError(
        f"cannot load {path.name!r} through Keras as a reference",
        details=problems,
        hint="Install both: pip install 'jaxviz-atlas[keras]'",
    )


def _packages(path: Path) -> tuple[str, ...]:
    """The packages that may load a file, the most likely first."""
    kind = sniff(path)
    if kind == "saved_model":
        return ("tf_keras",)
    if kind == "hdf5":
        file = read_hdf5(path, path.name)
        root = file.groups[""]
        stated = root.get(
            "keras_version", file.groups.get("model_weights", {}).get("keras_version")
        )
        if parse_version(stated) < (3,):
            return ("tf_keras", "keras")
    return ("keras", "tf_keras")


def _load(package: str, path: Path, weights: Path | None) -> KerasModel:
    library = importlib.import_module(package)
    if sniff(path) == "json":
        model = library.models.model_from_json(path.read_text(encoding="utf-8"))
    else:
        model = _load_named(library, path)
    if weights is not None:
        model.load_weights(weights)
    return model


def _load_named(library: ModuleType, path: Path) -> KerasModel:
    """Load a file through a copy with the right ending, because Keras goes by the ending."""
    ending = {"hdf5": ".h5", "zip": ".keras"}.get(sniff(path) or "")
    if ending is None or path.suffix in (".h5", ".hdf5", ".keras"):
        return library.models.load_model(path, compile=False)
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / f"model{ending}"
        shutil.copyfile(path, named)
        return library.models.load_model(named, compile=False)


def activations(model: KerasModel, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a model, and keep the result of every layer call.

    Args:
        model: A Sequential or Functional model of Keras 3 or tf_keras.
        inputs: Arrays in Keras' layout, by the input names of the spec.

    Returns:
        Results in Keras' layout, by the spec's names: layers of nested models are
        `outer/inner`, second calls `NAME@1`.
    """
    graph = _graph(model)
    names = [_maker(tensor).name for tensor in graph.inputs]
    given = list(inputs.values())
    if set(names) <= set(inputs):
        given = [inputs[name] for name in names]
    found: dict[str, np.ndarray] = {}
    _run(model, [_tensor(model, array) for array in given], "", found)
    return found


def _graph(model: KerasModel) -> KerasModel:
    """The Functional graph of a model; a Keras 3 Sequential holds one."""
    return getattr(model, "_functional", None) or model


def _tensor(model: KerasModel, array: np.ndarray) -> Tensor:
    """An array as a tensor of the model's own Keras."""
    if type(model).__module__.startswith("tf_keras") or hasattr(model, "_is_graph_network"):
        import tensorflow as tf

        return tf.convert_to_tensor(array)
    import keras

    return keras.ops.convert_to_tensor(array)


def _maker(tensor: Tensor) -> KerasModel:
    """The layer that makes a symbolic tensor."""
    history = tensor._keras_history
    return history.operation if hasattr(history, "operation") else history.layer


def _run(
    model: KerasModel, values: list[Tensor], prefix: str, found: dict[str, np.ndarray]
) -> list[Tensor]:
    """Run a model's graph layer by layer; add every result to `found`."""
    graph = _graph(model)
    results = {id(t): value for t, value in zip(graph.inputs, values, strict=True)}
    for node, layer, number in _layer_calls(graph):
        name = f"{prefix}{layer.name}" + (f"@{number}" if number else "")
        outputs = _flat(node.output_tensors)
        if all(id(tensor) in results for tensor in outputs):
            continue
        if hasattr(node, "map_arguments"):  # tf_keras
            args, kwargs = node.map_arguments(_Popped(results))
        else:
            args, kwargs = node.arguments.fill_in(results)
            if "training" in kwargs:  # the default of augmentation layers is True
                kwargs["training"] = False
        if type(layer).__name__ == "TimeDistributed":
            computed = _run_steps(layer, _flat([args, kwargs])[0], name, found)
        elif _is_model(layer):
            computed = _run(layer, _flat([args, kwargs]), f"{name}/", found)
        else:
            computed = _flat(layer(*args, **kwargs))
        results.update({id(t): value for t, value in zip(outputs, computed, strict=True)})
        if len(computed) == 1:
            found[name] = np.asarray(computed[0])
    return [results[id(tensor)] for tensor in graph.outputs]


def _run_steps(
    layer: KerasModel, value: Tensor, name: str, found: dict[str, np.ndarray]
) -> list[Tensor]:
    """Run a TimeDistributed; its inner model computes all steps as one batch."""
    steps = np.asarray(value)
    folded = _tensor(layer.layer, steps.reshape(-1, *steps.shape[2:]))
    inside: dict[str, np.ndarray] = {}
    if _is_model(layer.layer):
        _run(layer.layer, [folded], f"{name}/", inside)
    else:
        inside[f"{name}/{layer.layer.name}"] = np.asarray(layer.layer(folded))
    found |= {
        key: array.reshape(*steps.shape[:2], *array.shape[1:]) for key, array in inside.items()
    }
    return [layer(value)]


class _Popped:
    """Tensors in the form that tf_keras reads: lists by the text of a tensor's id."""

    def __init__(self, results: dict[int, Tensor]) -> None:
        self._results = results

    def __getitem__(self, key: str) -> list[Tensor]:
        return [self._results[int(key)]]


class _LayerCall(NamedTuple):
    """One call in a graph.

    Attributes:
        node: Keras' own record of the call.
        layer: The layer.
        number: Number of the call among the layer's calls in this graph.
    """

    node: Any
    layer: KerasModel
    number: int


def _layer_calls(graph: KerasModel) -> Iterator[_LayerCall]:
    """Every call of a graph, after the calls that it reads from."""
    by_depth = graph._nodes_by_depth
    own = {id(node) for nodes in by_depth.values() for node in nodes}
    for depth in sorted(by_depth, reverse=True):
        for node in by_depth[depth]:
            layer = node.operation if hasattr(node, "operation") else node.layer
            calls = [n for n in layer._inbound_nodes if id(n) in own]
            yield _LayerCall(node, layer, calls.index(node))


def _is_model(layer: KerasModel) -> bool:
    return hasattr(_graph(layer), "_nodes_by_depth") and hasattr(layer, "layers")


def _flat(value: object) -> list[Tensor]:
    """The tensors in nested arguments, in Keras' order."""
    if isinstance(value, list | tuple):
        return [item for part in value for item in _flat(part)]
    if isinstance(value, dict):
        return [item for _, part in sorted(value.items()) for item in _flat(part)]
    return [] if value is None or isinstance(value, bool | str) else [value]
