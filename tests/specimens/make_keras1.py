"""Write the specimens of Keras 1: its own files, and its results on one input.

    pip download --no-deps --no-binary :all: keras==1.2.2    (and unpack it)
    python make_keras1.py FOLDER_OF_KERAS_1

Keras 1.2.2 runs on the graph mode of today's TensorFlow, after a few names are put back.
"""

# mypy: ignore-errors
from __future__ import annotations

import collections
import collections.abc
import importlib
import inspect
import os
import sys
import types
from pathlib import Path

os.environ.update(CUDA_VISIBLE_DEVICES="-1", TF_USE_LEGACY_KERAS="1", KERAS_BACKEND="tensorflow")

import h5py  # noqa: F401 - before the names below are put back
import numpy as np
import scipy.sparse  # noqa: F401
import tensorflow.compat.v1 as v1

FOLDER = Path(__file__).parent
rng = np.random.default_rng(0)


def put_back_old_names() -> None:
    np.int, np.float, np.object = int, float, object
    for name in ("Iterable", "Callable", "Mapping", "Sequence"):
        setattr(collections, name, getattr(collections.abc, name))
    spec = collections.namedtuple("ArgSpec", "args varargs keywords defaults")
    inspect.getargspec = lambda f: spec(*inspect.getfullargspec(f)[:4])
    v1.disable_v2_behavior()
    old = types.ModuleType("tensorflow")
    old.__dict__.update({k: getattr(v1, k) for k in dir(v1) if not k.startswith("__")})
    old.__version__, old.__path__ = "1.15.0", sys.modules["tensorflow"].__path__
    sys.modules["tensorflow"] = old


put_back_old_names()
sys.path.insert(0, sys.argv[1])
L, K, models = (
    importlib.import_module(f"keras.{name}") for name in ("layers", "backend", "models")
)
Model, Sequential = models.Model, models.Sequential
TF, TH = {"dim_ordering": "tf"}, {"dim_ordering": "th"}


def randomise(layers):
    for layer in layers:
        if hasattr(layer, "layers"):
            randomise(layer.layers)
            continue
        values = []
        for variable, array in zip(layer.weights, layer.get_weights(), strict=True):
            value = rng.normal(size=array.shape, scale=0.4)
            if any(part in variable.name for part in ("gamma", "std", "alpha")):
                value = np.abs(value) + 0.5
            values.append(value.astype("float32"))
        layer.set_weights(values)


def save(model, name, batch=2):
    randomise(model.layers)
    model.save(str(FOLDER / f"keras1_{name}.h5"))
    shape = K.int_shape(model.inputs[0])[1:]
    image = rng.normal(size=(batch, *shape)).astype("float32")
    tensors = {}
    for layer in model.layers:
        nodes = layer.inbound_nodes[-1:] if hasattr(layer, "layers") else layer.inbound_nodes
        for i, node in enumerate(nodes):
            tensors[layer.name + (f"@{i}" if i else "")] = node.output_tensors[0]
    values = K.function([model.inputs[0], K.learning_phase()], list(tensors.values()))([image, 0])
    outputs = {f"out:{n}": v for n, v in zip(tensors, values, strict=True)}
    np.savez_compressed(FOLDER / f"keras1_{name}.npz", image=image, **outputs)


def channels_last():
    image = L.Input((10, 9, 3), name="image")
    x = L.Convolution2D(
        4, 3, 2, border_mode="same", activation="relu", subsample=(2, 1), name="c1", **TF
    )(image)
    x = L.BatchNormalization(name="bn")(x)
    a = L.SeparableConvolution2D(
        4, 3, 3, border_mode="same", depth_multiplier=2, name="separable", **TF
    )(x)
    b = L.AtrousConvolution2D(
        4, 3, 3, border_mode="same", atrous_rate=(2, 2), bias=False, name="atrous", **TF
    )(x)
    shared = L.Convolution2D(4, 1, 1, activation="hard_sigmoid", name="shared", **TF)
    y = L.merge([shared(a), shared(b)], mode="sum", name="sum")
    for mode, other in (("mul", a), ("ave", b), ("max", a), ("concat", x)):
        y = L.merge([y, other], mode=mode, name=mode)
    advanced = importlib.import_module("keras.layers.advanced_activations")
    noise = importlib.import_module("keras.layers.noise")
    layers = [
        advanced.LeakyReLU(0.2, name="leaky"), advanced.PReLU(name="prelu"),
        advanced.ELU(0.7, name="elu"), advanced.ThresholdedReLU(0.1, name="threshold"),
        L.Dropout(0.5), L.SpatialDropout2D(0.5, **TF),
        noise.GaussianNoise(0.1), noise.GaussianDropout(0.1),
        L.MaxPooling2D((2, 3), strides=(1, 2), border_mode="same", name="max_pool", **TF),
        L.AveragePooling2D((2, 2), name="average_pool", **TF), L.UpSampling2D((2, 3), **TF),
        L.ZeroPadding2D((1, 2), **TF), L.ZeroPadding2D({"top_pad": 1, "left_pad": 2}, **TF),
        L.Cropping2D(((1, 0), (0, 2)), **TF), L.Permute((2, 1, 3)),
    ]  # fmt: skip
    for layer in layers:
        y = layer(y)
    flat = L.Flatten()(L.Reshape((60, 8))(y))
    flat = L.Activation("softmax", name="soft")(L.Dense(5, activation="tanh", name="dense")(flat))
    repeated = L.RepeatVector(3)(L.GlobalAveragePooling2D(name="mean", **TF)(y))
    return Model(image, [flat, repeated])


def channels_first():
    inner = Sequential(
        [
            L.Convolution2D(4, 3, 3, border_mode="same", input_shape=(4, 6, 5), name="ic", **TH),
            L.BatchNormalization(axis=1, name="ibn"),
            L.Convolution2D(3, 2, 2, name="ic2", **TH),
        ]
    )
    return Sequential(
        [
            L.Convolution2D(4, 3, 3, subsample=(2, 2), input_shape=(3, 13, 11), name="c1", **TH),
            L.BatchNormalization(axis=1, name="bn"),
            inner,
            L.MaxPooling2D((2, 2), strides=(1, 1), name="max_pool", **TH),
            L.ZeroPadding2D((1, 1, 0, 2), name="pad", **TH),
            L.SeparableConvolution2D(4, 2, 2, name="separable", **TH),
            L.Flatten(name="flat"),
            L.Dense(4, name="dense"),
        ]
    )


def sequence():
    image = L.Input((16, 3), name="sequence")
    x = L.Convolution1D(4, 3, border_mode="same", subsample_length=2, name="c")(image)
    x = L.AtrousConvolution1D(4, 2, atrous_rate=2, name="atrous")(x)
    for layer in (L.ZeroPadding1D(2), L.Cropping1D((1, 0)), L.UpSampling1D(2)):
        x = layer(x)
    x = L.MaxPooling1D(3, stride=2, border_mode="same", name="max_pool")(x)
    x = L.BatchNormalization(name="bn")(L.AveragePooling1D(2, name="average_pool")(x))
    ends = [L.GlobalMaxPooling1D(name="top")(x), L.GlobalAveragePooling1D(name="mean")(x)]
    return Model(image, L.merge(ends, mode="concat", name="ends"))


def volume(order, shape):
    image = L.Input(shape, name="volume")
    x = L.Convolution3D(3, 2, 3, 2, subsample=(1, 2, 1), name="c", **order)(image)
    x = L.MaxPooling3D((2, 1, 2), name="max_pool", **order)(x)
    for layer in (
        L.UpSampling3D((1, 2, 1), **order),
        L.ZeroPadding3D((1, 0, 1), **order),
        L.Cropping3D(((1, 0), (0, 1), (0, 0)), **order),
    ):
        x = layer(x)
    return Model(image, L.GlobalAveragePooling3D(name="mean", **order)(x))


def transposed():
    image = L.Input((4, 5, 3), name="image")
    sizes = {
        "valid": ((6, 7), {}),
        "same": ((8, 9), {"subsample": (2, 2), "border_mode": "same"}),
        "same_odd": ((7, 10), {"subsample": (2, 2), "border_mode": "same"}),
        "surplus": ((10, 11), {"subsample": (2, 2)}),
    }
    outputs = [
        L.Deconvolution2D(2, 3, 3, output_shape=(None, *size, 2), name=name, **more, **TF)(image)
        for name, (size, more) in sizes.items()
    ]
    return Model(image, outputs)


save(channels_last(), "last")
save(channels_first(), "first")
save(sequence(), "sequence")
save(volume(TF, (6, 7, 8, 2)), "volume")
save(volume(TH, (2, 6, 7, 8)), "volume_first")
save(transposed(), "transposed", batch=1)
