"""Files of Keras 1, and of Keras on Theano, with their own names, layouts and kernels.

Keras 1.2.2 itself wrote the specimens and computed their results; see
`tests/specimens/make_keras1.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import converters
from converters.convert import convert
from converters.keras1 import translated
from converters.keras_file import read
from converters.lower import lower
from converters.verify import as_spec
from jaxviz.errors import ConversionError, ModelFileError
from jaxviz.model import Model, run
from tests.support.keras_models import Randomise

SPECIMENS = Path(__file__).parents[1] / "specimens"
NAMES = ["last", "first", "sequence", "volume", "volume_first", "transposed"]


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_computes_what_keras_1_computed(name: str) -> None:
    network, store, source = read(SPECIMENS / f"keras1_{name}.h5")
    bundle, axes = convert(network, store, source), lower(network, source).axes
    stored = np.load(SPECIMENS / f"keras1_{name}.npz")
    (given,) = bundle.spec.inputs
    expected = {key[4:]: stored[key] for key in stored if key.startswith("out:")}
    taps = [layer for layer in expected if layer in bundle.spec.layer_names]
    # A Sequential of Keras 1 does not write down its name.
    assert set(expected) - set(taps) <= {given.name, "sequential_1"}
    image = as_spec(stored["image"], axes[given.name])
    found = run(bundle.spec, bundle.weights, {given.name: image}, taps)
    for layer in taps:
        np.testing.assert_allclose(
            found[layer], as_spec(expected[layer], axes[layer]), rtol=1e-4, atol=1e-5,
            err_msg=layer,
        )  # fmt: skip
    assert bundle.spec.source.framework == "keras 1.2.2"


def test_an_architecture_and_weights_of_keras_1(tmp_path: Path) -> None:
    whole = SPECIMENS / "keras1_sequence.h5"
    with h5py.File(whole) as source, h5py.File(tmp_path / "weights.h5", "w") as target:
        document = json.loads(source.attrs["model_config"])
        for name in source["model_weights"]:
            source.copy(f"model_weights/{name}", target)
        target.attrs["layer_names"] = source["model_weights"].attrs["layer_names"]
    path = tmp_path / "net.json"
    path.write_text(json.dumps({**document, "keras_version": "1.2.2"}))
    bundle = converters.convert_file(path, weights=tmp_path / "weights.h5")
    expected = converters.convert_file(whole)
    assert bundle.spec.nodes == expected.spec.nodes
    for layer, arrays in expected.weights.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(bundle.weights[layer][name], array)


def _sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    return translated({"class_name": "Sequential", "config": list(layers)})


def test_a_merge_of_several_models_is_refused() -> None:
    merge = {"class_name": "Merge", "config": {"name": "m", "mode": "sum", "layers": [{}]}}
    with pytest.raises(ModelFileError, match="layer 'm' merges several models at the start"):
        _sequential(merge)


@pytest.mark.parametrize("mode", ["cos", "<lambda>", None])
def test_a_merge_that_keras_2_does_not_have_is_named(mode: Any) -> None:
    merge = {"class_name": "Merge", "config": {"name": "m", "mode": mode}}
    assert _sequential(merge)["config"][0]["class_name"] == f"Merge(mode='{mode}')"


def test_batch_normalization_by_the_batch_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    path.write_bytes((SPECIMENS / "keras1_sequence.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        text = file.attrs["model_config"].replace('"mode": 0', '"mode": 2')
        file.attrs["model_config"] = text
    with pytest.raises(ConversionError, match="BatchNormalization: .*mode='2'"):
        converters.convert_file(path)


def test_kernels_trained_with_theano_are_turned_round(
    randomised: Randomise, tmp_path: Path
) -> None:
    """Theano computes true convolutions, TensorFlow cross-correlations."""
    tf_keras = pytest.importorskip("tf_keras")
    layers = tf_keras.layers
    model = tf_keras.Sequential(
        [
            layers.Conv2D(4, (3, 2), input_shape=(8, 8, 3), name="conv"),
            layers.Conv2DTranspose(3, 3, name="transposed"),
            layers.Flatten(),
            layers.Dense(2, name="dense"),
        ]
    )
    path = tmp_path / "net.h5"
    with pytest.warns(UserWarning, match="HDF5"):
        randomised(model).save(path)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    with h5py.File(path, "r+") as file:
        file["model_weights"].attrs["backend"] = "theano"
        for name in ("conv", "transposed"):
            kernel = file[f"model_weights/{name}/{name}/kernel:0"]
            kernel[...] = kernel[...][::-1, ::-1]
    found = Model(converters.convert_file(path))(images)
    np.testing.assert_allclose(found, model(images), rtol=1e-4, atol=1e-5)
