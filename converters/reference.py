"""Run Keras itself, and keep every layer's output.

The only module that imports Keras, and only when it is asked to load a file.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from converters.config import parse_version
from converters.hdf5 import read_hdf5
from converters.keras_file import sniff
from jaxviz.errors import ModelFileError


def load_keras(path: Path, weights: Path | None = None) -> Any:
    """A model as Keras loads it; files of Keras 1 and 2 through `tf_keras` where it is there.

    Args:
        path: A model file, a SavedModel, or an architecture as JSON.
        weights: A file of weights to load into it.

    Raises:
        ModelFileError: If neither Keras is installed, or none can load the file.
    """
    problems = []
    for package in _packages(path):
        try:
            return _load(package, path, weights)
        except ImportError:
            problems.append(f"{package}: not installed")
        except Exception as error:  # Keras raises whatever it likes
            problems.append(f"{package}: {(str(error) or type(error).__name__).splitlines()[0]}")
    raise ModelFileError(f"no Keras can load {path.name!r} as a reference", details=problems)


def _packages(path: Path) -> tuple[str, ...]:
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


def _load(package: str, path: Path, weights: Path | None) -> Any:
    library = importlib.import_module(package)
    if sniff(path) == "json":
        model = library.models.model_from_json(path.read_text(encoding="utf-8"))
    else:
        model = _load_named(library, path)
    if weights is not None:
        model.load_weights(weights)
    return model


def _load_named(library: Any, path: Path) -> Any:
    """A model file under an ending that Keras knows; files in the wild have any."""
    ending = {"hdf5": ".h5", "zip": ".keras"}.get(sniff(path) or "")
    if ending is None or path.suffix in (".h5", ".hdf5", ".keras"):
        return library.models.load_model(path, compile=False)
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / f"model{ending}"
        shutil.copyfile(path, named)
        return library.models.load_model(named, compile=False)


def activations(model: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The result of every layer call of a model, by jaxviz' names, axes as in Keras.

    Args:
        model: A Sequential or Functional model of Keras 3 or tf_keras.
        inputs: Arrays in the model's own layout by input name; names as in the spec.

    Returns:
        {name: array}; layers of nested models as `outer/inner`, second calls as `NAME@1`.
    """
    graph = _graph(model)
    names = [_maker(tensor).name for tensor in graph.inputs]
    given = list(inputs.values())
    if set(names) <= set(inputs):
        given = [inputs[name] for name in names]
    found: dict[str, np.ndarray] = {}
    _run(model, [_tensor(model, array) for array in given], "", found)
    return found


def _graph(model: Any) -> Any:
    """The Functional graph of a model; a Keras 3 Sequential keeps one inside."""
    return getattr(model, "_functional", None) or model


def _tensor(model: Any, array: np.ndarray) -> Any:
    if type(model).__module__.startswith("tf_keras") or hasattr(model, "_is_graph_network"):
        import tensorflow as tf

        return tf.convert_to_tensor(array)
    import keras

    return keras.ops.convert_to_tensor(array)


def _maker(tensor: Any) -> Any:
    """The layer that a symbolic tensor comes from."""
    history = tensor._keras_history
    return history.operation if hasattr(history, "operation") else history.layer


def _run(model: Any, values: list[Any], prefix: str, found: dict[str, np.ndarray]) -> list[Any]:
    """Run a model's graph one layer at a time."""
    graph = _graph(model)
    results = {id(t): value for t, value in zip(graph.inputs, values, strict=True)}
    for node, layer, index in _nodes(graph):
        name = f"{prefix}{layer.name}" + (f"@{index}" if index else "")
        outputs = _flat(node.output_tensors)
        if all(id(tensor) in results for tensor in outputs):
            continue
        if hasattr(node, "map_arguments"):  # tf_keras
            args, kwargs = node.map_arguments(_Popped(results))
        else:
            args, kwargs = node.arguments.fill_in(results)
            if "training" in kwargs:  # augmentation has True as its default
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


def _run_steps(layer: Any, value: Any, name: str, found: dict[str, np.ndarray]) -> list[Any]:
    """A TimeDistributed: what is inside of it computes all steps as one batch."""
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
    """How tf_keras looks tensors up: by the text of their id, in lists it pops from."""

    def __init__(self, results: dict[int, Any]) -> None:
        self._results = results

    def __getitem__(self, key: str) -> list[Any]:
        return [self._results[int(key)]]


def _nodes(graph: Any) -> Iterator[tuple[Any, Any, int]]:
    """(node, layer, number of the call) in an order in which they can be run."""
    by_depth = graph._nodes_by_depth
    own = {id(node) for nodes in by_depth.values() for node in nodes}
    for depth in sorted(by_depth, reverse=True):
        for node in by_depth[depth]:
            layer = node.operation if hasattr(node, "operation") else node.layer
            calls = [n for n in layer._inbound_nodes if id(n) in own]
            yield node, layer, calls.index(node)


def _is_model(layer: Any) -> bool:
    return hasattr(_graph(layer), "_nodes_by_depth") and hasattr(layer, "layers")


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [item for part in value for item in _flat(part)]
    if isinstance(value, dict):
        return [item for _, part in sorted(value.items()) for item in _flat(part)]
    return [] if value is None or isinstance(value, bool | str) else [value]
