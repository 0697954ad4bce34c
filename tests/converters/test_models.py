"""Every shape of model: sequential, functional, nested, shared, several inputs and outputs."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import converters
from converters.keras_live import KerasModel
from converters.verify import verify
from jaxviz.errors import ConversionError, LayerError
from jaxviz.model import Model
from tests.support.keras_models import Keras, Parity, Randomise


@pytest.fixture
def branching(keras: Keras) -> KerasModel:
    """A shared layer, a nested model within a nested model, two inputs, two outputs."""
    layers = keras.layers
    core = keras.Sequential(
        [layers.Conv2D(4, 3, padding="same", name="conv"), layers.BatchNormalization(name="bn")],
        name="core",
    )
    inner_image = layers.Input((8, 8, 4), name="image")
    inner = keras.Model(inner_image, layers.ReLU(name="relu")(core(inner_image)), name="inner")
    first, second = layers.Input((8, 8, 4), name="first"), layers.Input((8, 8, 4), name="second")
    shared = layers.Conv2D(4, 3, padding="same", activation="tanh", name="shared")
    x = layers.Add(name="sum")([shared(first), shared(second)])
    y = inner(x)
    return keras.Model([first, second], [inner(y), layers.Flatten(name="flat")(y)], name="net")


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_saved_model_is_read_without_keras(
    ending: str, branching: KerasModel, randomised: Randomise, tmp_path: Path
) -> None:
    path = tmp_path / f"net{ending}"
    randomised(branching).save(path)
    bundle = converters.convert_file(path)
    report = verify(bundle, branching)
    assert report.passed, str(report)
    names = {row.name for row in report.rows}
    assert {"shared", "shared@1", "inner/core/conv", "inner@1/core/conv", "inner", "flat"} <= names
    assert bundle.spec.source.file == path.name
    assert len(bundle.spec.source.sha256) == 64
    assert bundle.spec.source.framework.startswith("keras 3.")


def test_live_and_saved_give_the_same_bundle(
    branching: KerasModel, randomised: Randomise, tmp_path: Path
) -> None:
    randomised(branching).save(tmp_path / "net.keras")
    saved, live = converters.convert_file(tmp_path / "net.keras"), converters.from_keras(branching)
    assert saved.spec.nodes == live.spec.nodes
    assert saved.weights.keys() == live.weights.keys()
    for layer, arrays in saved.weights.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, live.weights[layer][name])


def test_weights_of_a_shared_layer_are_stored_once(branching: KerasModel) -> None:
    bundle = converters.from_keras(branching)
    assert {"shared", "inner/core/conv"} <= bundle.weights.keys()
    assert not any("@" in layer for layer in bundle.weights)


def test_the_output_does_not_need_the_layer_name_twice(keras: Keras) -> None:
    image = keras.layers.Input((8, 8, 3), name="image")
    bundle = converters.from_keras(
        keras.Model(image, keras.layers.Conv2D(4, 3, activation="relu", name="conv")(image))
    )
    assert bundle.spec.layer_names == ("conv/pre_activation", "conv")
    assert bundle.spec.node("conv/pre_activation").output_name == "conv"


@pytest.mark.parametrize("frozen", [(), ("bn",), ("conv", "bn"), ("core",)])
def test_order_of_arrays_in_a_nested_model_with_frozen_layers(
    frozen: tuple[str, ...], keras: Keras, randomised: Randomise, tmp_path: Path
) -> None:
    layers = keras.layers
    core = keras.Sequential(
        [
            layers.Input((6, 6, 3)),
            layers.BatchNormalization(name="bn"),
            layers.Conv2D(3, 1, name="conv"),
            layers.BatchNormalization(name="bn2"),
        ],
        name="core",
    )
    image = layers.Input((6, 6, 3))
    model = randomised(keras.Model(image, core(image)))
    for layer in [core, *core.layers]:
        if layer.name in frozen:
            layer.trainable = False
    model.save(tmp_path / "net.h5")
    report = verify(converters.convert_file(tmp_path / "net.h5"), model)
    assert report.passed, str(report)


def test_legacy_files_of_tf_keras(tmp_path: Path, randomised: Randomise) -> None:
    tf_keras = pytest.importorskip("tf_keras")
    layers = tf_keras.layers
    core = tf_keras.Sequential([layers.Conv2D(4, 3), layers.BatchNormalization()], name="core")
    image = tf_keras.Input((8, 8, 3))
    x = layers.Conv2D(3, 3, activation="hard_sigmoid", name="gate")(core(image))
    model = randomised(tf_keras.Model(image, layers.Flatten()(x)))
    for ending in (".keras", ".h5"):
        path = tmp_path / f"net{ending}"
        with pytest.warns() if ending == ".h5" else contextlib.nullcontext():
            model.save(path)
        report = verify(converters.convert_file(path), path)
        assert report.passed, str(report)
    assert verify(converters.from_keras(model), model).passed


def test_until_keeps_only_what_it_needs(
    branching: KerasModel, randomised: Randomise, tmp_path: Path
) -> None:
    randomised(branching).save(tmp_path / "net.keras")
    bundle = converters.convert_file(tmp_path / "net.keras", until="sum")
    assert bundle.spec.outputs == ("sum",)
    assert set(bundle.weights) == {"shared"}
    assert verify(bundle, branching).passed


def test_until_an_unknown_layer_offers_the_nearest(branching: KerasModel) -> None:
    with pytest.raises(LayerError, match="Did you mean shared"):
        converters.from_keras(branching, until="shard")


def test_all_unsupported_layers_are_named_at_once_and_how_far_it_can_go(keras: Keras) -> None:
    layers = keras.layers
    image = layers.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="fine")(image)
    x = layers.Lambda(lambda t: t * 2, name="code", output_shape=(6, 6, 4))(x)
    x = layers.Conv2D(4, 3, name="after")(x)
    x = layers.Masking(name="mask")(x)
    with pytest.raises(ConversionError) as caught:
        converters.from_keras(keras.Model(image, x, name="net"))
    assert str(caught.value).splitlines() == [
        "cannot convert 'net': 2 of 4 layers unsupported",
        "  code  Lambda: holds Python code, which a spec cannot store",
        "  mask  Masking: masks later layers, which a spec cannot express",
        "Everything up to 'fine' converts: --until fine",
    ]


def test_names_may_be_anything(keras: Keras, parity: Parity) -> None:
    layers = keras.layers
    image = layers.Input((8, 8, 3), name="an image")
    x = layers.Conv2D(3, 1, name="größe-#1 …")(image)
    inner = keras.Sequential([layers.Input((8, 8, 3)), layers.Conv2D(3, 1, name="a")], name="b")
    report = parity(keras.Model(image, inner(x)))
    assert {row.name for row in report.rows} == {"größe-#1 …", "b/a", "b"}


def test_the_flax_model_of_a_converted_file_runs(
    branching: KerasModel, randomised: Randomise, tmp_path: Path
) -> None:
    randomised(branching).save(tmp_path / "net.keras")
    model = Model(converters.convert_file(tmp_path / "net.keras"))
    images = {n: np.ones((1, 8, 8, 4), np.float32) for n in ("first", "second")}
    outputs, seen = model(images, taps=["shared@1"])
    assert len(outputs) == 2
    assert seen["shared@1"].shape == (1, 8, 8, 4)


def test_channels_first_becomes_channels_last(keras: Keras, randomised: Randomise) -> None:
    """Built twice with the same weights: Keras on a CPU does not compute channels_first."""

    def build(first: bool) -> Any:
        layers, shape = keras.layers, (3, 9, 8) if first else (9, 8, 3)
        kind: dict[str, Any] = {"data_format": "channels_first" if first else "channels_last"}
        image = layers.Input(shape, name="image")
        x = layers.Conv2D(4, 3, activation="relu", name="conv", **kind)(image)
        x = layers.BatchNormalization(axis=1 if first else -1, name="bn")(x)
        y = layers.SeparableConv2D(4, 3, padding="same", name="separable", **kind)(x)
        x = layers.Concatenate(axis=1 if first else -1, name="join")([x, y])
        x = layers.MaxPooling2D(2, name="pool", **kind)(x)
        x = layers.PReLU(shared_axes=[2, 3] if first else [1, 2], name="prelu")(x)
        x = layers.Flatten(name="flat", **kind)(x)
        return keras.Model(image, layers.Dense(5, name="dense")(x))

    last = randomised(build(first=False))
    first = build(first=True)
    for target, source in zip(first.weights, last.weights, strict=True):
        target.assign(np.reshape(source, target.shape))
    expected, found = converters.from_keras(last), converters.from_keras(first)
    assert found.spec.inputs == expected.spec.inputs
    assert found.spec.shapes() == expected.spec.shapes()
    images = np.random.default_rng(0).normal(size=(2, 9, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(Model(found)(images), Model(expected)(images), rtol=1e-5, atol=1e-6)
    assert verify(expected, last, images).passed


def test_channels_first_flattened_in_keras_order(keras: Keras) -> None:
    layers = keras.layers
    image = layers.Input((3, 4, 5))
    x = layers.ZeroPadding2D(1, data_format="channels_first")(image)
    flat = layers.Flatten(data_format="channels_last")(x)
    bundle = converters.from_keras(keras.Model(image, flat))
    images = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype(np.float32)
    padded = np.pad(images.transpose(0, 3, 1, 2), ((0, 0), (0, 0), (1, 1), (1, 1)))
    np.testing.assert_array_equal(Model(bundle)(images), padded.reshape(2, -1))


def test_half_precision_weights_become_float32(
    keras: Keras, randomised: Randomise, tmp_path: Path
) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((6, 6, 3)), layers.Conv2D(4, 3, dtype="float16", name="conv")]
    )
    randomised(model).save(tmp_path / "net.keras")
    bundle = converters.convert_file(tmp_path / "net.keras")
    kernel = bundle.weights["conv"]["kernel"]
    assert kernel.dtype == np.float32
    np.testing.assert_array_equal(kernel, np.asarray(model.weights[0], np.float32))
    assert verify(bundle, model, tolerance=5e-3).passed


def test_dropout_in_use_at_inference_is_refused() -> None:
    tf_keras = pytest.importorskip("tf_keras")
    image = tf_keras.Input((4,))
    model = tf_keras.Model(image, tf_keras.layers.Dropout(0.5)(image, training=True))
    with pytest.raises(ConversionError, match="call argument training='True'"):
        converters.from_keras(model)


def test_a_nested_model_in_training_mode_is_refused() -> None:
    tf_keras = pytest.importorskip("tf_keras")
    image = tf_keras.Input((4,))
    core = tf_keras.Sequential([tf_keras.layers.BatchNormalization()], name="core")
    with pytest.raises(ConversionError, match="core  Sequential: is called with training=True"):
        converters.from_keras(tf_keras.Model(image, core(image, training=True)))
    assert verify(
        converters.from_keras(model := tf_keras.Model(image, core(image, training=False))), model
    ).passed


@pytest.fixture
def over_time(keras: Keras) -> KerasModel:
    """A convolutional network and single layers, each at every step of a sequence."""
    layers = keras.layers
    core = keras.Sequential(
        [
            layers.Input((7, 6, 3)),
            layers.Conv2D(4, 3, padding="same", strides=2, name="conv"),
            layers.BatchNormalization(name="bn"),
            layers.PReLU(shared_axes=[1], name="prelu"),
            layers.SeparableConv2D(4, 2, name="separable"),
            layers.MaxPooling2D(2, strides=1, padding="same", name="pool"),
            layers.ZeroPadding2D(((0, 1), (1, 0)), name="pad"),
            layers.Conv2DTranspose(3, 2, strides=2, name="transposed"),
            layers.UpSampling2D(2, interpolation="bilinear", name="up"),
            layers.GlobalAveragePooling2D(keepdims=True, name="mean"),
            layers.Flatten(name="flat"),
            layers.Dense(5, activation="softmax", name="dense"),
        ],
        name="core",
    )
    video = layers.Input((4, 7, 6, 3), name="video")
    maps = layers.TimeDistributed(layers.Conv2D(3, 3, activation="relu", name="c"), name="maps")
    flat = layers.TimeDistributed(layers.Flatten(), name="flat")
    outputs = [
        layers.TimeDistributed(core, name="steps")(video),
        layers.Dense(2, name="end")(layers.Flatten()(flat(maps(video)))),
    ]
    return keras.Model(video, outputs, name="net")


def test_time_distributed_layers_and_models(over_time: KerasModel, parity: Parity) -> None:
    report = parity(over_time)
    assert {"maps", "maps/c", "steps", "steps/conv", "steps/dense"} <= {r.name for r in report.rows}


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_time_distributed_in_a_file(
    ending: str, over_time: KerasModel, randomised: Randomise, tmp_path: Path
) -> None:
    randomised(over_time).save(tmp_path / f"net{ending}")
    report = verify(converters.convert_file(tmp_path / f"net{ending}"), over_time)
    assert report.passed, str(report)


def test_what_cannot_be_computed_at_every_step_is_named(keras: Keras) -> None:
    layers = keras.layers
    video = layers.Input((4, 5, 6, 6))
    layer = layers.TimeDistributed(layers.GroupNormalization(2, name="norm"), name="steps")
    with pytest.raises(
        ConversionError, match="steps  TimeDistributed: cannot compute 'group_norm'"
    ):
        converters.from_keras(keras.Model(video, layer(video)))
    recurrent = layers.TimeDistributed(layers.LSTM(2, name="lstm"), name="steps")
    with pytest.raises(ConversionError, match="steps/lstm  LSTM: is recurrent"):
        converters.from_keras(keras.Model(video, recurrent(layers.Reshape((4, 5, 36))(video))))
