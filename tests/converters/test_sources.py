"""Every source of a model gives equal numbers."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import converters
from converters.keras_live import KerasModel
from converters.layers.registry import CUSTOM
from converters.verify import verify
from jaxviz.errors import ConversionError, ModelFileError
from jaxviz.spec import Scale
from tests.support.keras_models import Keras, Randomise, assert_same, write_tensorflow_js


@pytest.fixture
def net(keras: Keras, randomised: Randomise) -> Any:
    layers = keras.layers
    image = layers.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.SeparableConv2D(5, 3, name="separable")(x)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    return randomised(keras.Model(image, layers.Flatten(name="flat")(x), name="net"))


def test_architecture_as_json_and_weights_of_keras_3(net: KerasModel, tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text(net.to_json())
    net.save_weights(tmp_path / "net.weights.h5")
    assert converters.recognises(tmp_path / "net.json")
    assert_same(
        converters.convert_file(tmp_path / "net.json", weights=tmp_path / "net.weights.h5"), net
    )


def test_architecture_without_weights_says_so(net: KerasModel, tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text(net.to_json())
    with pytest.raises(ModelFileError, match="holds an architecture but no weights"):
        converters.convert_file(tmp_path / "net.json")


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_weights_from_another_model_file(
    ending: str, net: KerasModel, keras: Keras, randomised: Randomise, tmp_path: Path
) -> None:
    net.save(tmp_path / f"net{ending}")
    other = randomised(keras.models.clone_model(net), seed=7)
    other.save(tmp_path / f"other{ending}")
    assert_same(
        converters.convert_file(tmp_path / f"net{ending}", weights=tmp_path / f"other{ending}"),
        other,
    )


def test_legacy_weights_are_matched_by_order_where_generated_names_differ(
    keras: Keras, randomised: Randomise, tmp_path: Path
) -> None:
    tf_keras = pytest.importorskip("tf_keras")

    def build(start: int) -> Any:
        layers = [
            tf_keras.layers.Conv2D(4, 3, name=f"conv2d_{start}"),
            tf_keras.layers.BatchNormalization(name=f"batch_normalization_{start}"),
            tf_keras.layers.Conv2D(4, 3, name=f"conv2d_{start + 1}"),
        ]
        return tf_keras.Sequential([tf_keras.Input((8, 8, 3)), *layers])

    first, later = build(0), randomised(build(40))
    (tmp_path / "net.json").write_text(first.to_json())
    later.save_weights(tmp_path / "weights.h5")
    first.set_weights(later.get_weights())
    bundle = converters.convert_file(tmp_path / "net.json", weights=tmp_path / "weights.h5")
    assert_same(bundle, first)


def test_a_function_that_returns_a_live_model(
    net: KerasModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_models.py").write_text("model = None\ndef build():\n    return model\n")
    monkeypatch.syspath_prepend(tmp_path)
    import my_models  # type: ignore[import-not-found]

    my_models.model = net
    assert_same(converters.from_function("my_models:build"), net)
    del sys.modules["my_models"]
    with pytest.raises(ModelFileError, match="no function 'my_models:nothing'"):
        converters.from_function("my_models:nothing")


def test_a_function_is_called_once_to_convert_and_to_verify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keras: Keras
) -> None:
    """Another call would give other random weights."""
    (tmp_path / "random_model.py").write_text(
        "import keras\n"
        "def build():\n"
        "    layers = keras.layers\n"
        "    return keras.Sequential([layers.Input((6, 6, 3)), layers.Conv2D(4, 3, name='c')])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    bundle = converters.from_function("random_model:build")
    assert verify(bundle, "random_model:build").passed


def test_a_live_model_on_another_backend(tmp_path: Path) -> None:
    script = """
import os
os.environ["KERAS_BACKEND"] = "jax"
import keras, converters
layers = keras.layers
image = layers.Input((6, 6, 3))
x = layers.SeparableConv2D(4, 3, activation="relu", name="s")(layers.BatchNormalization()(image))
report = converters.verify.verify(converters.from_keras(m := keras.Model(image, x * 0.5)), m)
assert report.passed and not report.missing, report
print(keras.backend.backend(), len(report.rows))
"""
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.stdout.split() == ["jax", "3"], ended.stderr


@pytest.mark.parametrize("kind", ["Functional", "Sequential"])
def test_a_bare_configuration(kind: str, net: KerasModel, keras: Keras, tmp_path: Path) -> None:
    model = net if kind == "Functional" else keras.Sequential(
        [keras.layers.Input((6, 6, 3)), keras.layers.Conv2D(4, 3, name="c")]
    )  # fmt: skip
    (tmp_path / "net.json").write_text(json.dumps(json.loads(model.to_json())["config"]))
    model.save_weights(tmp_path / "net.weights.h5")
    assert_same(
        converters.convert_file(tmp_path / "net.json", weights=tmp_path / "net.weights.h5"), model
    )


def test_weight_groups_of_tf_keras_2_13(tf_net: KerasModel, tmp_path: Path) -> None:
    """That version has another name for lists of layers, in nested models too."""
    tf_net.save(tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    content = io.BytesIO(members["model.weights.h5"])
    with h5py.File(content, "r+") as file:
        file.move("layers/sequential/layers", "layers/sequential/_layer_checkpoint_dependencies")
        file.move("layers", "_layer_checkpoint_dependencies")
    members["model.weights.h5"] = content.getvalue()
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    assert_same(converters.convert_file(tmp_path / "old.keras"), tf_net)


def tensorflow_js(
    model: KerasModel, folder: Path, quantize: str | None = None, shards: int = 1
) -> Path:
    """A tf_keras model in the files of TensorFlow.js."""
    arrays = [(v.name.split(":")[0], v.numpy().astype(np.float32)) for v in model.weights]
    return write_tensorflow_js(model, arrays, folder, quantize=quantize, shards=shards)


@pytest.fixture
def tf_net(randomised: Randomise) -> Any:
    tf_keras = pytest.importorskip("tf_keras")
    layers = tf_keras.layers
    inner = tf_keras.Sequential([layers.Conv2D(4, 3, name="a"), layers.ReLU(6.0)], name="inner")
    image = tf_keras.Input((8, 8, 3), name="image")
    x = layers.DepthwiseConv2D(3, name="depthwise")(inner(image))
    x = layers.BatchNormalization(name="bn", scale=False)(x)
    return randomised(tf_keras.Model(image, layers.Dense(3, name="dense")(x), name="net"))


@pytest.mark.parametrize("shards", [1, 3])
def test_tensorflow_js(shards: int, tf_net: KerasModel, tmp_path: Path) -> None:
    path = tensorflow_js(tf_net, tmp_path, shards=shards)
    for handed in (path, tmp_path):
        assert converters.recognises(handed)
        assert_same(converters.convert_file(handed), tf_net)


@pytest.mark.parametrize(
    ("quantize", "tolerance"), [("uint8", 2e-2), ("uint16", 1e-4), ("float16", 1e-3)]
)
def test_tensorflow_js_quantized(
    quantize: str, tolerance: float, tf_net: KerasModel, tmp_path: Path
) -> None:
    path = tensorflow_js(tf_net, tmp_path, quantize=quantize, shards=2)
    report = verify(converters.convert_file(path), tf_net, tolerance=tolerance)
    assert report.passed, str(report)
    assert report.worst.error > 1e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format="graph-model"), "graph model, which has no layers"),
        (lambda d: d["weightsManifest"][0].update(paths=["../../etc/passwd"]), "leads out"),
        (lambda d: d["weightsManifest"][0].update(paths=["gone.bin"]), "is missing"),
        (
            lambda d: d["weightsManifest"][0]["weights"][0].update(shape=[1 << 39]),
            "but its shards hold",
        ),
        (lambda d: d["weightsManifest"][0]["weights"][0].update(dtype="string"), "unknown type"),
        (lambda d: d.update(weightsManifest=None), "lists no weights"),
    ],
)
def test_bad_tensorflow_js(change: Any, message: str, tf_net: KerasModel, tmp_path: Path) -> None:
    path = tensorflow_js(tf_net, tmp_path)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(ModelFileError, match=message):
        converters.convert_file(path)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_shard_that_is_no_plain_file(kind: str, tf_net: KerasModel, tmp_path: Path) -> None:
    shard = tensorflow_js(tf_net, tmp_path).parent / "group1-shard1of1.bin"
    shard.rename(tmp_path / "elsewhere")
    {
        "link": lambda: shard.symlink_to(tmp_path / "elsewhere"),
        "pipe": lambda: os.mkfifo(shard),
        "folder": shard.mkdir,
    }[kind]()
    with pytest.raises(ModelFileError, match="is missing"):
        converters.convert_file(tmp_path)


def test_a_saved_model_needs_trust(tf_net: KerasModel, tmp_path: Path) -> None:
    tf_net.save(tmp_path / "saved", save_format="tf")
    assert converters.recognises(tmp_path / "saved")
    with pytest.raises(ModelFileError, match="can run the code in it"):
        converters.convert_file(tmp_path / "saved")
    assert_same(converters.convert_file(tmp_path / "saved", trust=True), tf_net)


def test_a_registered_custom_layer(keras: Keras, randomised: Randomise, tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("mine")
    class MyScale(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def build(self, shape: Any) -> None:
            self.factors = self.add_weight(shape=(shape[-1],), name="factors")

        def call(self, x: Any) -> Any:
            return x * self.factors

    model = keras.Sequential([keras.layers.Input((4, 4, 3)), MyScale(name="scale")])
    randomised(model).save(tmp_path / "net.keras")
    with pytest.raises(
        ConversionError, match="scale  MyScale: comes from .* and is not a layer that jaxviz knows"
    ):
        converters.convert_file(tmp_path / "net.keras")

    def my_scale(call: Any) -> Any:
        value = call.as_in_keras(call.input)
        op = Scale(shape=(value.shape[-1],))
        return call.emit(op, value, weights={"scale": call.weight("factors")})

    converters.register("MyScale", my_scale)
    try:
        assert_same(converters.convert_file(tmp_path / "net.keras"), model)
    finally:
        del CUSTOM["MyScale"]
