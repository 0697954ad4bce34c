"""Reports separate equal from different models, and bundles carry probes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import converters
from converters.keras_live import KerasModel
from converters.verify import check_probes, verify
from jaxviz.bundle import Bundle
from jaxviz.bundle import store as bundles
from jaxviz.errors import ModelFileError
from tests.support.keras_models import Keras, Randomise


@pytest.fixture
def net(keras: Keras, randomised: Randomise) -> Any:
    layers = keras.layers
    return randomised(
        keras.Sequential(
            [
                layers.Input((8, 8, 3)),
                layers.Conv2D(4, 3, activation="relu", name="conv1"),
                layers.Conv2D(4, 3, name="conv2"),
                layers.GlobalAveragePooling2D(name="mean"),
            ],
            name="net",
        )
    )


def disturbed(bundle: Bundle, factor: float) -> Bundle:
    """The model with one kernel scaled by a factor."""
    conv2 = {**bundle.weights["conv2"], "kernel": bundle.weights["conv2"]["kernel"] * factor}
    return replace(bundle, weights={**bundle.weights, "conv2": conv2})


def test_a_small_error_in_one_layer_is_found_and_measured(net: KerasModel) -> None:
    bundle = converters.from_keras(net)
    assert verify(bundle, net).passed
    report = verify(disturbed(bundle, 1.001), net)
    assert not report.passed
    errors = {row.name: row.error for row in report.rows}
    assert errors["conv1"] < 1e-6
    assert errors["conv2"] == pytest.approx(1e-3, rel=0.2)  # the bias dilutes it
    assert report.worst.name in ("conv2", "mean")
    assert "DIFFERENT" in str(report)


def test_probes_prove_the_model_without_keras(net: KerasModel, tmp_path: Path) -> None:
    bundle = converters.from_keras(net)
    path = bundles.save(verify(bundle, net).with_probes(bundle), tmp_path / "net.bundle")
    stored = bundles.load(path)
    report = check_probes(stored)
    assert report.passed, str(report)
    assert {row.name for row in report.rows} == {"conv1", "conv2", "mean"}
    assert not check_probes(disturbed(stored, 1.001)).passed


def test_a_bundle_without_probes_says_so(net: KerasModel) -> None:
    with pytest.raises(ModelFileError, match="holds no probes"):
        check_probes(converters.from_keras(net))


def test_real_images_may_be_given(net: KerasModel) -> None:
    images = np.linspace(0, 1, 8 * 8 * 3, dtype=np.float32).reshape(1, 8, 8, 3)
    report = verify(converters.from_keras(net), net, images)
    assert report.passed
    assert next(iter(report.probes.values())).shape == (1, 8, 8, 3)
