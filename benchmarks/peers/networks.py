"""Builds the benchmarks' networks with Keras and saves them as `.keras` files.

    python -m benchmarks.peers.networks FOLDER MODELS CONVERTED NAME...

Runs in the peers' environment and keeps the files that exist. MODELS is the folder that
`scripts/fetch_models` fills. CONVERTED is an .npz of MobileNetV2's weights as jaxviz reads them,
because Keras 3 refuses the file.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import numpy as np
from keras import layers

INPUT = (None, None, 3)


def galaxy() -> keras.Model:
    stack: list[keras.Layer] = [keras.Input(INPUT)]
    for number, filters in enumerate((32, 64, 128), start=1):
        stack.append(
            layers.Conv2D(filters, 3, activation="relu", padding="same", name=f"conv{number}")
        )
        stack.append(layers.MaxPooling2D(name=f"pool{number}"))
    return keras.Sequential(stack, name="galaxy")


def application(name: str) -> keras.Model:
    # NASNet's padding is fixed for one input size
    shape = (96, 96, 3) if name == "NASNetMobile" else INPUT
    return getattr(keras.applications, name)(weights=None, include_top=False, input_shape=shape)


def mobilenet(converted: Path) -> keras.Model:
    model = application("MobileNetV2")
    with np.load(converted) as stored:
        for layer in model.layers:
            if layer.weights:
                layer.set_weights([stored[f"{layer.name}|{w.name}"] for w in layer.weights])
    return model


def randomise_statistics(model: keras.Model) -> None:
    """Give batch norms statistics as after training; 0 and 1 would hide a wrong mean."""
    draw = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            for weight in layer.weights:
                shape = weight.shape
                centred = weight.name in ("beta", "moving_mean")
                values = draw.normal(0, 0.1, shape) if centred else draw.uniform(0.8, 1.2, shape)
                weight.assign(values)


#: Names of `keras.applications`.
APPLICATIONS = (
    "VGG16", "ResNet50", "InceptionV3", "EfficientNetB0", "Xception", "MobileNet",
    "MobileNetV3Small", "EfficientNetV2B0", "NASNetMobile", "DenseNet121", "ConvNeXtTiny",
    "VGG19", "ResNet50V2", "ResNet101", "InceptionResNetV2",
)  # fmt: skip


def main() -> None:
    folder, models, converted = map(Path, sys.argv[1:4])
    random: dict[str, Callable[[], keras.Model]] = {
        name.lower(): partial(application, name) for name in APPLICATIONS
    }
    random["galaxy"] = galaxy
    trained = {
        "mobilenetv2": lambda: mobilenet(converted),
        "mini-xception": lambda: keras.saving.load_model(models / "fer.h5", compile=False),
    }
    for name in sys.argv[4:]:
        path = folder / f"{name}.keras"
        if path.exists():
            continue
        keras.utils.set_random_seed(0)
        model = (random | trained)[name]()
        if name in random:
            randomise_statistics(model)
        model.save(path)


if __name__ == "__main__":
    main()
