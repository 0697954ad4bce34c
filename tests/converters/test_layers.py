"""Every layer class and its arguments, against Keras on the same input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import converters
from converters.config import parse_model
from converters.convert import convert
from converters.verify import verify
from converters.weights import LegacyStore
from jaxviz.model import Model
from jaxviz.spec import Source
from tests.support.keras_models import Keras, Parity, Randomise

Layers = Callable[[Any], Any]

#: Input shape and the layer (or a list of them), by what it shows.
CASES: dict[str, tuple[tuple[int | None, ...], Layers]] = {
    "conv1d causal": ((9, 3), lambda L: L.Conv1D(4, 3, padding="causal", dilation_rate=2)),
    "conv2d": ((9, 8, 3), lambda L: L.Conv2D(4, (3, 2), strides=2, activation="relu")),
    "conv2d groups": ((9, 8, 4), lambda L: L.Conv2D(6, 3, groups=2, padding="same")),
    "conv2d open size": ((None, None, 3), lambda L: L.Conv2D(4, 3, padding="same")),
    "conv3d": ((5, 6, 7, 2), lambda L: L.Conv3D(3, 2, strides=(1, 2, 1), padding="same")),
    "conv1d transpose": ((7, 3), lambda L: L.Conv1DTranspose(4, 3, strides=2)),
    "conv2d transpose": ((5, 6, 3), lambda L: L.Conv2DTranspose(4, 3, strides=2, padding="same")),
    "conv3d transpose": ((3, 4, 5, 2), lambda L: L.Conv3DTranspose(3, 2, strides=2)),
    "depthwise1d": ((9, 3), lambda L: L.DepthwiseConv1D(3, depth_multiplier=2)),
    "depthwise2d": ((9, 8, 3), lambda L: L.DepthwiseConv2D(3, strides=2, padding="same")),
    "depthwise multiplier": ((9, 8, 3), lambda L: L.DepthwiseConv2D(3, depth_multiplier=2)),
    "separable1d": ((9, 3), lambda L: L.SeparableConv1D(4, 3, activation="elu")),
    "separable2d": ((9, 8, 3), lambda L: L.SeparableConv2D(4, 3, depth_multiplier=2)),
    "dense": ((5,), lambda L: L.Dense(4, activation="softmax")),
    "dense on a map": ((4, 5, 3), lambda L: L.Dense(4, use_bias=False)),
    "max pooling": ((9, 8, 3), lambda L: L.MaxPooling2D(3, strides=2, padding="same")),
    "max pooling 1d": ((9, 3), lambda L: L.MaxPooling1D(2)),
    "max pooling 3d": ((5, 6, 7, 2), lambda L: L.MaxPooling3D(2)),
    "average pooling": ((9, 8, 3), lambda L: L.AveragePooling2D(3, strides=2, padding="same")),
    "average pooling 1d": ((9, 3), lambda L: L.AveragePooling1D(2, strides=1)),
    "average pooling 3d": ((5, 6, 7, 2), lambda L: L.AveragePooling3D(2, padding="same")),
    "adaptive max": ((6, 8, 3), lambda L: L.AdaptiveMaxPooling2D((3, 2))),
    "adaptive average": ((6, 3), lambda L: L.AdaptiveAveragePooling1D(2)),
    "global max": ((5, 4, 3), lambda L: L.GlobalMaxPooling2D()),
    "global max 1d": ((5, 3), lambda L: L.GlobalMaxPooling1D()),
    "global average": ((5, 4, 3), lambda L: L.GlobalAveragePooling2D(keepdims=True)),
    "global average 3d": ((2, 5, 4, 3), lambda L: L.GlobalAveragePooling3D()),
    "batch norm": ((5, 4, 3), lambda L: L.BatchNormalization(epsilon=0.01)),
    "batch norm bare": ((5, 4, 3), lambda L: L.BatchNormalization(scale=False, center=False)),
    "batch norm no scale": ((5, 4, 3), lambda L: L.BatchNormalization(scale=False)),
    "batch norm other axis": ((5, 4, 3), lambda L: L.BatchNormalization(axis=2)),
    "relu": ((5, 4), lambda L: L.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2)),
    "leaky relu": ((5, 4), lambda L: L.LeakyReLU(negative_slope=0.2)),
    "elu": ((5, 4), lambda L: L.ELU(alpha=0.7)),
    "softmax": ((5, 4), lambda L: L.Softmax(axis=1)),
    "prelu": ((5, 4, 3), lambda L: L.PReLU()),
    "prelu shared": ((5, 4, 3), lambda L: L.PReLU(shared_axes=[1, 2])),
    "zero padding 1d": ((5, 3), lambda L: L.ZeroPadding1D((1, 2))),
    "zero padding": ((5, 4, 3), lambda L: L.ZeroPadding2D(((0, 1), (2, 3)))),
    "zero padding 3d": ((3, 5, 4, 3), lambda L: L.ZeroPadding3D((1, 2, 0))),
    "cropping 1d": ((5, 3), lambda L: L.Cropping1D((1, 2))),
    "cropping": ((5, 6, 3), lambda L: L.Cropping2D(((0, 1), (2, 3)))),
    "cropping 3d": ((5, 6, 7, 3), lambda L: L.Cropping3D(1)),
    "upsampling 1d": ((5, 3), lambda L: L.UpSampling1D(3)),
    "upsampling": ((5, 4, 3), lambda L: L.UpSampling2D((2, 3))),
    "upsampling bilinear": ((5, 4, 3), lambda L: L.UpSampling2D(2, interpolation="bilinear")),
    "upsampling 3d": ((2, 3, 4, 3), lambda L: L.UpSampling3D(2)),
    "flatten": ((5, 4, 3), lambda L: [L.Flatten(), L.Dense(3)]),
    "reshape": ((5, 4, 3), lambda L: L.Reshape((2, -1))),
    "permute": ((5, 4, 3), lambda L: L.Permute((3, 1, 2))),
    "repeat vector": ((5,), lambda L: L.RepeatVector(3)),
    "rescaling": ((5, 4, 3), lambda L: L.Rescaling(1 / 127.5, offset=-1)),
    "rescaling by channel": ((5, 4, 3), lambda L: L.Rescaling([1.0, 2.0, 3.0], [0.1, 0.2, 0.3])),
    "resizing": ((7, 9, 3), lambda L: L.Resizing(5, 12)),
    "resizing nearest": ((7, 9, 3), lambda L: L.Resizing(5, 12, interpolation="nearest")),
    "resizing antialiased": ((9, 9, 3), lambda L: L.Resizing(4, 5, antialias=True)),
    "resizing lanczos": ((9, 9, 3), lambda L: L.Resizing(14, 15, interpolation="lanczos3")),
    "resizing cropped": ((7, 9, 3), lambda L: L.Resizing(5, 4, crop_to_aspect_ratio=True)),
    "resizing padded": ((7, 9, 3), lambda L: L.Resizing(5, 4, pad_to_aspect_ratio=True)),
    "center crop": ((8, 9, 3), lambda L: L.CenterCrop(5, 4)),
    "center crop of a small image": ((4, 9, 3), lambda L: L.CenterCrop(6, 5)),
    "layer norm": ((5, 4, 3), lambda L: L.LayerNormalization()),
    "layer norm axes": ((5, 4, 3), lambda L: L.LayerNormalization(axis=[1, 3], scale=False)),
    "rms norm": ((5, 4, 3), lambda L: L.RMSNormalization()),
    "group norm": ((5, 4, 6), lambda L: L.GroupNormalization(groups=3)),
    "instance norm": ((5, 4, 6), lambda L: L.GroupNormalization(groups=-1, center=False)),
    "group norm of another axis": ((6, 4, 3), lambda L: L.GroupNormalization(groups=2, axis=1)),
    "unit norm": ((5, 4, 3), lambda L: L.UnitNormalization(axis=[1, 3])),
    "spectral norm": ((7, 7, 3), lambda L: L.SpectralNormalization(L.Conv2D(4, 3))),
    "normalization fixed": (
        (4, 4, 3),
        lambda L: L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]),
    ),
    "normalization inverted": (
        (4, 4, 3),
        lambda L: L.Normalization(mean=0.5, variance=2.0, invert=True, axis=None),
    ),
    "einsum dense": ((5, 4), lambda L: L.EinsumDense("abc,cd->abd", (None, 7), bias_axes="d")),
    "einsum dense ellipsis": ((5, 4), lambda L: L.EinsumDense("...x,xy->...y", (7,))),
    "einsum dense mixing": (
        (5, 4),
        lambda L: L.EinsumDense("abc,cde->abde", (5, 2, 3), bias_axes="de", activation="relu"),
    ),
    "training only": (
        (5, 4, 3),
        lambda L: [L.Dropout(0.5), L.SpatialDropout2D(0.5), L.GaussianNoise(1.0)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_layer_computes_what_keras_computes(name: str, keras: Keras, parity: Parity) -> None:
    shape, build = CASES[name]
    layers = build(keras.layers)
    layers = layers if isinstance(layers, list) else [layers]
    parity(keras.Sequential([keras.layers.Input(shape), *layers]))


ACTIVATIONS = (
    "relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish", "sigmoid",
    "hard_sigmoid", "hard_silu", "log_sigmoid", "tanh", "hard_tanh", "tanh_shrink", "hard_shrink",
    "soft_shrink", "softplus", "softsign", "squareplus", "sparse_plus", "exponential", "softmax",
    "log_softmax", "sparsemax", "glu", "linear", "sparse_sigmoid", "swish", "hard_swish",
)  # fmt: skip


def test_every_built_in_activation(keras: Keras, parity: Parity) -> None:
    image = keras.layers.Input((3, 4, 6))
    outputs = [keras.layers.Activation(name)(image) for name in ACTIVATIONS]
    fused = [keras.layers.Conv2D(4, 1, activation=name)(image) for name in ACTIVATIONS]
    parity(keras.Model(image, outputs + fused))


@pytest.mark.parametrize(
    "name", ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"]
)
def test_merging_layers(name: str, keras: Keras, parity: Parity) -> None:
    first, second = keras.layers.Input((5, 4, 3)), keras.layers.Input((5, 4, 3))
    parity(keras.Model([first, second], getattr(keras.layers, name)()([first, second])))


def test_merging_broadcasts(keras: Keras, parity: Parity) -> None:
    image = keras.layers.Input((5, 4, 3))
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(image)
    parity(keras.Model(image, keras.layers.Multiply()([image, gate])))


def test_concatenation_along_another_axis(keras: Keras, parity: Parity) -> None:
    first, second = keras.layers.Input((5, 4, 3)), keras.layers.Input((5, 2, 3))
    parity(keras.Model([first, second], keras.layers.Concatenate(axis=2)([first, second])))


def test_multi_head_attention(keras: Keras, parity: Parity) -> None:
    layers = keras.layers
    sequence, other = layers.Input((6, 5)), layers.Input((4, 3))
    image = layers.Input((3, 4, 5))
    outputs = [
        layers.MultiHeadAttention(2, 3)(sequence, sequence),
        layers.MultiHeadAttention(2, 3, value_dim=4, output_shape=7, use_bias=False)(
            sequence, other
        ),
        layers.MultiHeadAttention(2, 3)(image, image),
    ]
    parity(keras.Model([sequence, other, image], outputs))


def test_attention(keras: Keras, parity: Parity) -> None:
    layers = keras.layers
    query, value, key = (layers.Input(shape) for shape in ((6, 5), (4, 5), (4, 5)))
    outputs = [
        layers.Attention()([query, value]),
        layers.Attention(use_scale=True)([query, value, key]),
        layers.AdditiveAttention()([query, value, key]),
        layers.AdditiveAttention(use_scale=False)([query, value]),
    ]
    parity(keras.Model([query, value, key], outputs))


@pytest.mark.parametrize("axes", [1, 2, -1, (1, 2)])
@pytest.mark.parametrize("normalize", [False, True])
def test_dot(axes: Any, normalize: bool, keras: Keras, parity: Parity) -> None:
    shapes = ((4, 4), (4, 4))
    first, second = (keras.layers.Input(shape) for shape in shapes)
    out = keras.layers.Dot(axes, normalize=normalize)([first, second])
    vectors = [keras.layers.Input((5,)) for _ in range(2)]
    parity(keras.Model([first, second, *vectors], [out, keras.layers.Dot(-1)(vectors)]))


def test_functions_in_a_graph(keras: Keras, parity: Parity) -> None:
    ops = keras.ops
    x = keras.layers.Input((8, 8, 6))
    y = ops.sigmoid(x)
    outputs = [
        x + y, x - y, x * y, x / (y + 1.0), ops.maximum(x, y), ops.minimum(x, y),
        x * 0.2, 1.0 - x, 2.0 / (y + 1.0), x / 3.0, ops.maximum(x, 0.1), ops.minimum(0.1, x), -x,
        x * np.arange(6.0).astype("float32"), x + np.ones((1, 1, 6), "float32"), x**2, y**1.5,
        ops.abs(x), ops.square(x), ops.sqrt(y), ops.rsqrt(y), ops.exp(x), ops.log(y), ops.erf(x),
        ops.reciprocal(y + 1.0), ops.clip(x, -0.5, 0.5), ops.relu(x), ops.relu6(x * 9.0),
        ops.leaky_relu(x), ops.elu(x, alpha=0.5), ops.gelu(x, approximate=False), ops.gelu(x),
        ops.softmax(x, axis=1), ops.log_softmax(x), ops.silu(x), ops.hard_sigmoid(x),
        ops.hard_silu(x), ops.normalize(x, axis=-1), ops.tanh(x), ops.glu(x), ops.sparsemax(x),
        ops.hard_shrink(x, 0.3), ops.soft_shrink(x), ops.squareplus(x, 3), ops.sparse_sigmoid(x),
        ops.threshold(x, 0.1, 0.2), ops.log2(y), ops.log10(y), ops.exp2(x), ops.round(x * 3.0),
        ops.trunc(x * 3.0), ops.arctan(x), ops.sinh(x), ops.cosh(x), ops.average(x, axis=1),
        ops.norm(x, axis=-1), ops.norm(x, axis=(1, 2), keepdims=True), ops.layer_normalization(x),
        ops.rms_normalization(x), ops.max_pool(x, 2, padding="same"),
        ops.average_pool(x, (2, 3), strides=1),
        ops.mean(x, axis=(1, 2), keepdims=True), ops.max(x, axis=-1), ops.sum(x, axis=[1]),
        ops.var(x, axis=(1, 2)), ops.std(x, axis=-1, keepdims=True), ops.min(x, axis=2),
    ]  # fmt: skip
    parity(keras.Model(x, outputs))


def test_functions_that_move_values_in_a_graph(keras: Keras, parity: Parity) -> None:
    ops = keras.ops
    x = keras.layers.Input((8, 4, 6))
    blocks = ops.reshape(x, (-1, 8, 4, 2, 3))
    outputs = [
        x[:, 1:-1, ::2, 0], x[..., :3], x[:, -1], *ops.split(x, 3, axis=-1),
        *ops.split(x, [1, 3], axis=1), ops.transpose(x, (0, 3, 1, 2)), ops.swapaxes(x, 1, -1),
        ops.moveaxis(x, 1, -1), ops.expand_dims(x, 1), ops.expand_dims(x, -1),
        ops.squeeze(ops.expand_dims(x, 2), 2), ops.flip(x, axis=1), ops.flip(x, axis=-1),
        ops.concatenate([x, x], axis=1), ops.stack([x, x], axis=1), ops.stack([x, x], axis=-1),
        ops.pad(x, [[0, 0], [1, 2], [3, 4], [0, 0]]), ops.image.resize(x, (5, 7)),
        ops.einsum("bhwc,bhwd->bcd", x, x), ops.matmul(x, ops.swapaxes(x, -1, -2)),
        ops.reshape(ops.transpose(blocks, (0, 1, 4, 2, 3)), (-1, 24, 8)),
        ops.reshape(x, (-1, 8 * 4 * 6)), ops.tile(x, (1, 2, 1, 3)), ops.repeat(x, 2, axis=1),
        ops.repeat(x, 3, axis=-1), ops.roll(x, 1, axis=2), ops.roll(x, -2, axis=-1),
        *ops.unstack(x, axis=2), *ops.array_split(x, 4, axis=-1), ops.hstack([x, x]),
        ops.dstack([x, x]), ops.fliplr(x), ops.depth_to_space(ops.tile(x, (1, 1, 1, 2)), 2),
        ops.space_to_depth(x, 2), ops.image.pad_images(x, 1, 2, 3, 4),
        ops.image.crop_images(x, 1, 1, 1, 1), ops.image.rgb_to_grayscale(x[..., :3]),
        ops.dot_product_attention(x, x, x), ops.slice(x, (0, 1, 0, 2), (-1, 3, 2, 4)),
    ]  # fmt: skip
    parity(keras.Model(x, outputs))


def test_depth_to_space_as_a_chain(keras: Keras, parity: Parity) -> None:
    ops = keras.ops
    x = keras.layers.Input((4, 5, 12))
    y = ops.reshape(x, (-1, 4, 5, 2, 2, 3))
    y = ops.reshape(ops.transpose(y, (0, 1, 3, 2, 4, 5)), (-1, 8, 10, 3))
    parity(keras.Model(x, keras.layers.Conv2D(2, 3)(y)))


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_functions_and_layers_of_the_same_name_in_a_file(
    ending: str, keras: Keras, randomised: Randomise, tmp_path: Path
) -> None:
    x = keras.layers.Input((4, 5, 6))
    y = keras.layers.Multiply()([x, x * 0.25])
    model = keras.Model(x, keras.layers.Add()([y, y + 3.0]))
    model.save(tmp_path / f"net{ending}")
    report = verify(converters.convert_file(tmp_path / f"net{ending}"), model)
    assert report.passed, str(report)
    assert not report.missing


def test_layers_of_keras_applications(keras: Keras, parity: Parity) -> None:
    from keras.src.applications.convnext import LayerScale, StochasticDepth

    x = keras.layers.Input((4, 5, 6))
    parity(keras.Model(x, StochasticDepth(0.5)(LayerScale(0.5, 6)(x))))


def test_augmentation_does_nothing_at_inference(keras: Keras, parity: Parity) -> None:
    layers = keras.layers
    x = keras.layers.Input((8, 8, 3))
    names = [name for name in vars(layers) if name.startswith("Random") and name != "RandomCrop"]
    arguments: dict[str, list[Any]] = {
        "RandomFlip": ["horizontal"], "RandomTranslation": [0.1, 0.1], "RandomHeight": [0.1],
        "RandomPosterization": [4], "RandomErasing": [], "RandomGaussianBlur": [],
        "RandomElasticTransform": [], "RandomPerspective": [], "RandomColorJitter": [],
        "RandomGrayscale": [], "RandomInvert": [],
    }  # fmt: skip
    augmentations = [getattr(layers, name)(*arguments.get(name, [0.1])) for name in names]
    augmentations += [layers.Solarization(0.1, 0.1), layers.RandAugment()]
    augmentations += [layers.AugMix()]
    assert len(augmentations) > 20
    parity(keras.Model(x, [layer(x) for layer in augmentations]))


@pytest.mark.filterwarnings("ignore:.*rms_scaling:UserWarning")
def test_layer_norm_with_rms_scaling(keras: Keras, parity: Parity) -> None:
    layer = keras.layers.LayerNormalization(rms_scaling=True)
    parity(keras.Sequential([keras.layers.Input((5, 4, 3)), layer]))


@pytest.mark.parametrize("axis", [-1, None])
def test_normalization_learned_from_data(axis: Any, keras: Keras, tmp_path: Path) -> None:
    layer = keras.layers.Normalization(axis=axis)
    layer.adapt(np.random.default_rng(0).normal(2.0, 3.0, size=(20, 4, 5, 3)))
    model = keras.Sequential([keras.layers.Input((4, 5, 3)), layer])
    for ending in (".keras", ".h5"):
        model.save(tmp_path / f"net{ending}")
        report = verify(converters.convert_file(tmp_path / f"net{ending}"), model)
        assert report.passed, str(report)


@pytest.mark.parametrize("layer", ["Resizing", "UpSampling2D"])
def test_bicubic_resizing(layer: str, keras: Keras, parity: Parity) -> None:
    """TensorFlow takes its bicubic weights from a table of 1024 entries."""
    size = [11, 12] if layer == "Resizing" else [2]
    resized = getattr(keras.layers, layer)(*size, interpolation="bicubic")
    parity(keras.Sequential([keras.layers.Input((7, 9, 3)), resized]), tolerance=1e-3)


def test_tensorflow_functions_in_a_graph(parity: Parity) -> None:
    tf_keras, tf = pytest.importorskip("tf_keras"), pytest.importorskip("tensorflow")
    x = tf_keras.Input((8, 4, 8))
    outputs = [
        x * 0.2, 1.0 - x, x + x, tf.nn.relu6(x + 3.0), tf.reduce_mean(x, [1, 2], keepdims=True),
        x[:, 1:-1, ::2, 0], x[..., :3], tf.concat([x, x], -1), tf.transpose(x, [0, 3, 1, 2]),
        tf.reshape(x, [-1, 32, 8]), tf.image.resize(x, (4, 5)), tf.nn.depth_to_space(x, 2),
        tf.split(x, 2, axis=-1)[1], tf.nn.l2_normalize(x, -1), tf.clip_by_value(x, 0.0, 1.0),
        tf.expand_dims(x, 1), -x, x / 2.0, x**2, tf.sigmoid(x), tf.stack([x, x], 1),
        tf.pad(x, [[0, 0], [1, 1], [1, 2], [0, 0]]), tf.squeeze(tf.expand_dims(x, 1), [1]),
        tf.nn.softmax(x), tf.matmul(x, x, transpose_b=True), tf.cast(x, tf.float32),
        tf.math.maximum(x, 0.1), tf.reduce_max(x, -1), tf.exp(x), tf.abs(x),
    ]  # fmt: skip
    parity(tf_keras.Model(x, outputs))


def test_graph_operations_of_tensorflow_2_3() -> None:
    """`(relu6(x + 3) / 6) · x`, as MobileNetV3 was saved then: no Keras of today writes it."""

    def layer(name: str, op: str, inputs: list[str], constants: dict[str, float]) -> Any:
        node = {"name": name, "op": op, "input": [*inputs, "c"], "attr": {}}
        return {
            "class_name": "TensorFlowOpLayer", "name": name,
            "config": {"name": name, "trainable": True, "dtype": "float32",
                       "node_def": node, "constants": constants},
            "inbound_nodes": [[[source, 0, 0, {}] for source in inputs]],
        }  # fmt: skip

    image = {
        "class_name": "InputLayer", "name": "x", "inbound_nodes": [],
        "config": {"batch_input_shape": [None, 5], "name": "x"},
    }  # fmt: skip
    layers = [
        image, layer("plus", "AddV2", ["x"], {"1": 3.0}), layer("clip", "Relu6", ["plus"], {}),
        layer("sixth", "Mul", ["clip"], {"0": 1 / 6}), layer("gate", "Mul", ["x", "sixth"], {}),
    ]  # fmt: skip
    config = {"name": "n", "layers": layers, "input_layers": [["x", 0, 0]],
              "output_layers": [["gate", 0, 0]]}  # fmt: skip
    network = parse_model({"class_name": "Functional", "config": config}, (2, 4))
    model = Model(convert(network, LegacyStore({}), Source()))
    x = np.linspace(-6, 6, 10, dtype=np.float32).reshape(2, 5)
    expected = x * np.clip(x + 3, 0, 6) / 6
    np.testing.assert_allclose(model(x), expected, rtol=1e-6, atol=1e-6)
