"""Every layer class and its arguments, against Keras on the same input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

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
    "training only": (
        (5, 4, 3),
        lambda L: [L.Dropout(0.5), L.SpatialDropout2D(0.5), L.GaussianNoise(1.0)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_layer_computes_what_keras_computes(name: str, keras: Any, parity: Any) -> None:
    shape, build = CASES[name]
    layers = build(keras.layers)
    layers = layers if isinstance(layers, list) else [layers]
    parity(keras.Sequential([keras.layers.Input(shape), *layers]))


ACTIVATIONS = (
    "relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish", "sigmoid",
    "hard_sigmoid", "hard_silu", "log_sigmoid", "tanh", "hard_tanh", "tanh_shrink", "hard_shrink",
    "soft_shrink", "softplus", "softsign", "squareplus", "sparse_plus", "exponential", "softmax",
    "log_softmax", "sparsemax", "glu", "linear",
)  # fmt: skip


def test_every_built_in_activation(keras: Any, parity: Any) -> None:
    image = keras.layers.Input((3, 4, 6))
    outputs = [keras.layers.Activation(name)(image) for name in ACTIVATIONS]
    fused = [keras.layers.Conv2D(4, 1, activation=name)(image) for name in ACTIVATIONS]
    parity(keras.Model(image, outputs + fused))


@pytest.mark.parametrize(
    "name", ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"]
)
def test_merging_layers(name: str, keras: Any, parity: Any) -> None:
    first, second = keras.layers.Input((5, 4, 3)), keras.layers.Input((5, 4, 3))
    parity(keras.Model([first, second], getattr(keras.layers, name)()([first, second])))


def test_merging_broadcasts(keras: Any, parity: Any) -> None:
    image = keras.layers.Input((5, 4, 3))
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(image)
    parity(keras.Model(image, keras.layers.Multiply()([image, gate])))


def test_concatenation_along_another_axis(keras: Any, parity: Any) -> None:
    first, second = keras.layers.Input((5, 4, 3)), keras.layers.Input((5, 2, 3))
    parity(keras.Model([first, second], keras.layers.Concatenate(axis=2)([first, second])))
