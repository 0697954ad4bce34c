"""Models made in Keras at test time: random values, parity with Keras, files of other programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

import converters
from converters.keras_live import KerasModel
from converters.verify import Report, verify
from jaxviz.bundle import Bundle

#: The module `keras` or `tf_keras`.
Keras: TypeAlias = ModuleType
#: Gives every array of a model random values, from a seed, and returns the model.
Randomise: TypeAlias = Callable[..., KerasModel]
#: Converts a live model, and asserts that every layer's output equals Keras'.
Parity: TypeAlias = Callable[..., Report]


def randomise(model: KerasModel, seed: int = 0) -> KerasModel:
    """Give every array random values, because zeros and ones would hide mistakes."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        kind = np.asarray(variable).dtype
        values = generator.normal(size=tuple(variable.shape), scale=0.3)
        name = getattr(variable, "path", variable.name)
        if any(part in name for part in ("variance", "gamma", "alpha")):
            values = np.abs(values) + 0.5
        if np.issubdtype(kind, np.floating):
            variable.assign(values.astype(kind))
    return model


def assert_parity(model: KerasModel, tolerance: float = 1e-5) -> Report:
    """Convert a live model with random values, and compare every layer's output."""
    randomise(model)
    bundle = converters.from_keras(model)
    generator = np.random.default_rng(1)
    images = {
        i.name: generator.normal(size=(2, *(n or 13 for n in i.shape))).astype(np.float32)
        for i in bundle.spec.inputs
    }
    report = verify(bundle, model, images, tolerance=tolerance)
    assert not report.missing, report.missing
    assert report.passed, str(report)
    return report


def assert_same(bundle: Bundle, model: KerasModel) -> None:
    """Every layer of a bundle computes what a live model computes."""
    report = verify(bundle, model)
    assert report.passed, str(report)
    assert not report.missing


def write_tensorflow_js(
    model: KerasModel,
    arrays: Iterable[tuple[str, np.ndarray]],
    folder: Path,
    *,
    quantize: str | None = None,
    shards: int = 1,
    version: str = "2.21.0",
) -> Path:
    """Write a model as the tensorflowjs converter does; returns the `model.json`.

    Args:
        model: Gives the architecture.
        arrays: Names and float32 values of the weights.
        folder: Receives the files.
        quantize: Type of the stored weights: float16, uint8 or uint16.
        shards: Number of files for the weights.
        version: Version of Keras that the file states.
    """
    entries, data = [], b""
    for name, array in arrays:
        entry: dict[str, Any] = {"name": name, "shape": list(array.shape), "dtype": "float32"}
        if quantize == "float16":
            entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
            array = array.astype(np.float16)
        elif quantize:
            levels = np.iinfo(quantize).max
            low, high = float(array.min()), float(array.max())
            scale = (high - low) / levels or 1.0
            entry["quantization"] = {"dtype": quantize, "scale": scale, "min": low}
            array = np.round((array - low) / scale).astype(quantize)
        entries.append(entry)
        data += array.tobytes()
    size = -(-len(data) // shards)
    paths = [f"group1-shard{i + 1}of{shards}.bin" for i in range(shards)]
    for i, path in enumerate(paths):
        (folder / path).write_bytes(data[i * size : (i + 1) * size])
    topology = {
        "keras_version": version, "backend": "tensorflow",
        "model_config": json.loads(model.to_json()),
    }  # fmt: skip
    document = {
        "format": "layers-model", "generatedBy": f"keras v{version}", "modelTopology": topology,
        "weightsManifest": [{"paths": paths, "weights": entries}],
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(document))
    return folder / "model.json"
