"""Trained networks that `scripts/fetch_models` fetches, every layer, on noise and photographs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import converters
from converters.reference import load_keras
from converters.verify import random_inputs, verify
from tests.support.models import real_model

PHOTOGRAPHS = sorted((Path(__file__).parents[2] / "docs" / "images").glob("[ac]*.png"))
#: For each file, the number of convolutions and the range of the inputs.
NETWORKS = {
    "fer.hdf5": (15, (-1.0, 1.0)),
    "mobilenetv2.model": (52, (-1.0, 1.0)),
    "cifar10.h5": (6, (0.0, 1.0)),
    "pycda_unet.h5": (18, (0.0, 1.0)),
    "pycda_tinynet.h5": (18, (0.0, 1.0)),
    "pycda_classifier.h5": (4, (0.0, 1.0)),
    "chess.keras": (3, (0.0, 1.0)),
    "phylodeep.h5": (3, (0.0, 1.0)),
}
#: Largest relative L2 error at float32; the last layers of MobileNetV2 reach 5e-6.
TOLERANCE = 1e-5


def photographs(shape: tuple[Any, ...]) -> np.ndarray:
    """Two pictures at a network's size, in colour or grey, from 0 to 1."""
    height, width, channels = shape
    images = []
    for file in PHOTOGRAPHS:
        with Image.open(file) as image:
            small = image.convert("L" if channels == 1 else "RGB").resize((width, height))
        images.append(np.asarray(small, np.float32).reshape(shape) / 255)
    assert len(images) == 2
    return np.stack(images)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_of_a_trained_network(name: str) -> None:
    pytest.importorskip("tf_keras")
    count, (low, high) = NETWORKS[name]
    path = real_model(name)
    bundle = converters.convert_file(path)
    assert len(bundle.spec.convolutions) == count
    (source,) = bundle.spec.inputs
    images = random_inputs(bundle.spec)[source.name]
    if len(source.shape) == 3:
        images = np.concatenate([images, photographs(source.shape)])
    report = verify(bundle, load_keras(path), low + images * (high - low), tolerance=TOLERANCE)
    assert not report.missing
    assert report.passed, str(report)


@pytest.mark.filterwarnings("ignore:The initializer:UserWarning")
def test_a_network_of_tensorflow_js() -> None:
    """The reference gets its weights by name, independently of the converter."""
    tf_keras = pytest.importorskip("tf_keras")
    path = real_model("upscaler/model.json")
    document = json.loads(path.read_text())
    model = tf_keras.models.model_from_json(json.dumps(document["modelTopology"]["model_config"]))
    data = np.fromfile(path.with_name("group1-shard1of1.bin"), np.float32)
    for entry in document["weightsManifest"][0]["weights"]:
        size = int(np.prod(entry["shape"]))
        variable = next(v for v in model.weights if v.name.split(":")[0] == entry["name"])
        variable.assign(data[:size].reshape(entry["shape"]))
        data = data[size:]
    assert not data.size
    image = photographs((12, 15, 3))[:1]
    report = verify(converters.convert_file(path), model, image, tolerance=TOLERANCE)
    assert report.passed, str(report)
    assert not report.missing
