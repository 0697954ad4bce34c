"""The networks of the benchmark, built with Keras and saved as `.keras` files.

    networks.py FOLDER MODELS CONVERTED
Run in the peers' environment. MODELS is the folder of `scripts/fetch_models`, CONVERTED an
.npz of the weights that jaxviz reads from the MobileNetV2 file, which Keras 3 refuses.
"""

import sys
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
    return getattr(keras.applications, name)(weights=None, include_top=False, input_shape=INPUT)


def mobilenet(converted: Path) -> keras.Model:
    model = application("MobileNetV2")
    with np.load(converted) as stored:
        for layer in model.layers:
            if layer.weights:
                layer.set_weights([stored[f"{layer.name}|{w.name}"] for w in layer.weights])
    return model


def randomise_statistics(model: keras.Model) -> None:
    """Batch norm as after training: with 0 and 1 a wrong mean would pass unseen."""
    draw = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            for weight in layer.weights:
                shape = weight.shape
                centred = weight.name in ("beta", "moving_mean")
                values = draw.normal(0, 0.1, shape) if centred else draw.uniform(0.8, 1.2, shape)
                weight.assign(values)


def main() -> None:
    folder, models, converted = map(Path, sys.argv[1:])
    built = {
        "galaxy": galaxy,
        "vgg16": lambda: application("VGG16"),
        "resnet50": lambda: application("ResNet50"),
        "inceptionv3": lambda: application("InceptionV3"),
        "efficientnetb0": lambda: application("EfficientNetB0"),
        "xception": lambda: application("Xception"),
    }
    for name, build in built.items():
        if not (folder / f"{name}.keras").exists():
            keras.utils.set_random_seed(0)
            model = build()
            randomise_statistics(model)
            model.save(folder / f"{name}.keras")
    trained = {
        "mobilenetv2": lambda: mobilenet(converted),
        "mini-xception": lambda: keras.saving.load_model(models / "fer.h5", compile=False),
    }
    for name, build in trained.items():
        if not (folder / f"{name}.keras").exists():
            build().save(folder / f"{name}.keras")


if __name__ == "__main__":
    main()
