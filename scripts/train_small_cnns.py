"""Train the small networks of the gallery; save them before and after training.

    .venv/bin/python scripts/train_small_cnns.py [--output FOLDER] [--epochs N]

Writes fashion_initial.keras, fashion.keras (a CNN of three convolution layers on
Fashion-MNIST) and galaxy_initial.keras (the bundled galaxy classifier before training) into
models/, and fashion.json with the accuracy on the 10,000 test images. Needs the `keras` extra,
and Fashion-MNIST from Debian's package dataset-fashion-mnist. Takes a few minutes on two cores.
Seeds are fixed, so equal machines and versions give equal networks.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
import train_galaxy_cnn

SEED = 1
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
FASHION_CLASSES = (
    "T-shirt", "trousers", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


def fashion_network() -> keras.Model:
    """Three convolutions and a dense layer over 28×28 grey images in [0, 1]."""
    convolution = {"padding": "same", "activation": "relu", "kernel_initializer": "he_normal"}
    layers = [keras.Input((28, 28, 1), name="image")]
    for number, (filters, window) in enumerate([(16, 5), (32, 3), (64, 3)], 1):
        layers.append(keras.layers.Conv2D(filters, window, name=f"conv{number}", **convolution))
        layers.append(keras.layers.MaxPooling2D(name=f"pool{number}"))
    layers += [
        keras.layers.Flatten(name="flatten"),
        keras.layers.Dropout(0.3, name="dropout"),
        keras.layers.Dense(len(FASHION_CLASSES), activation="softmax", name="classes"),
    ]
    return keras.Sequential(layers, name="fashion_cnn")


def read_idx(file: Path) -> np.ndarray:
    """The array in a gzipped MNIST file: four magic bytes, the sizes, then the values."""
    content = gzip.decompress(file.read_bytes())
    axes = content[3]
    sizes = np.frombuffer(content, ">u4", axes, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(sizes)


def fashion_mnist(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images [image, 28, 28, 1] in [0, 1] and labels [image] of `train` or `t10k`."""
    images = read_idx(FASHION_MNIST / f"{part}-images-idx3-ubyte.gz")
    labels = read_idx(FASHION_MNIST / f"{part}-labels-idx1-ubyte.gz")
    return images[..., None].astype(np.float32) / 255, labels


def train_fashion(output: Path, epochs: int) -> None:
    keras.utils.set_random_seed(SEED)
    model = fashion_network()
    model.save(output / "fashion_initial.keras")
    images, labels = fashion_mnist("train")
    steps = -(-len(images) // 64) * epochs
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(images, labels, batch_size=64, epochs=epochs, verbose=2)
    accuracy = model.evaluate(*fashion_mnist("t10k"), verbose=0)[1]
    trained = fashion_network()  # uncompiled, so that no optimizer state is saved
    trained.set_weights(model.get_weights())
    trained.save(output / "fashion.keras")
    record = {
        "model": "fashion.keras",
        "classes": list(FASHION_CLASSES),
        "input_range": [0, 1],
        "test": {"images": 10_000, "accuracy": round(float(accuracy), 4)},
        "training": {"epochs": epochs, "seed": SEED, "keras": keras.__version__},
    }
    (output / "fashion.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"Fashion-MNIST: accuracy {accuracy:.3f} on 10,000 test images")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "models")
    parser.add_argument("--epochs", type=int, default=6)
    arguments = parser.parse_args()
    if not FASHION_MNIST.is_dir():
        raise SystemExit(
            f"there is no folder {FASHION_MNIST}\n"
            "Install the data set: apt-get install dataset-fashion-mnist"
        )
    arguments.output.mkdir(parents=True, exist_ok=True)
    # This seed gives the first weights of the galaxy network's training.
    keras.utils.set_random_seed(train_galaxy_cnn.TRAINING)
    train_galaxy_cnn.build().save(arguments.output / "galaxy_initial.keras")
    train_fashion(arguments.output, arguments.epochs)


if __name__ == "__main__":
    main()
