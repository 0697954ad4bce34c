"""Train the bundled galaxy classifier on synthetic galaxies, and record its accuracy.

    .venv/bin/python scripts/train_galaxy_cnn.py [--output FOLDER] [--images N] [--epochs N]

Writes galaxy_cnn.keras, galaxy_cnn.json (the accuracy on held-out galaxies, and the settings
of the training) and a few held-out sample images. Needs the `keras` extra. Seeds are fixed, so
equal machines and versions give equal networks.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import galaxies
import keras
import numpy as np
from PIL import Image

# Seeds of disjoint sets of galaxies.
TRAINING, VALIDATION, HELD_OUT = 1, 2, 3
HELD_OUT_IMAGES = 2000


def build() -> keras.Model:
    """Five convolutions with pooling between them, then a small dense head."""
    convolution = {"padding": "same", "activation": "relu", "kernel_initializer": "he_normal"}
    layers = [keras.Input((galaxies.SIZE, galaxies.SIZE, 3), name="image")]
    for number, (filters, window) in enumerate([(16, 5), (32, 3), (48, 3), (64, 3), (96, 3)], 1):
        layers.append(keras.layers.Conv2D(filters, window, name=f"conv{number}", **convolution))
        layers.append(keras.layers.MaxPooling2D(name=f"pool{number}"))
    layers += [
        keras.layers.GlobalAveragePooling2D(name="average"),
        keras.layers.Dropout(0.3, name="dropout"),
        keras.layers.Dense(48, activation="relu", name="dense"),
        keras.layers.Dense(len(galaxies.CLASSES), activation="softmax", name="classes"),
    ]
    return keras.Sequential(layers, name="galaxy_cnn")


def train(images: int, epochs: int) -> keras.Model:
    """Train on new galaxies, mirrored and rotated at random; keep the best epoch."""
    keras.utils.set_random_seed(TRAINING)
    data, labels = galaxies.sample(images, TRAINING)
    validation = galaxies.sample(1000, VALIDATION)
    model = build()
    steps = -(-images // 32) * epochs
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    rng, best, weights = np.random.default_rng(TRAINING), 0.0, model.get_weights()
    for epoch in range(epochs):
        model.fit(_turned(data, rng), labels, batch_size=32, verbose=0)
        accuracy = model.evaluate(*validation, verbose=0)[1]
        print(f"epoch {epoch + 1}: validation accuracy {accuracy:.3f}", flush=True)
        if accuracy >= best:
            best, weights = accuracy, model.get_weights()
    trained = build()  # uncompiled, so that no optimizer state is saved
    trained.set_weights(weights)
    return trained


def _turned(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Images mirrored and rotated by right angles at random, because the sky has no up."""
    turned = np.empty_like(images)
    for image, into, turn, flip in zip(
        images,
        turned,
        rng.integers(4, size=len(images)),
        rng.integers(2, size=len(images)),
        strict=True,
    ):
        into[...] = np.rot90(image[:, ::-1] if flip else image, turn)
    return turned


def evaluate(model: keras.Model) -> dict[str, object]:
    """Accuracy on held-out galaxies, and the number of filters that never respond."""
    images, labels = galaxies.sample(HELD_OUT_IMAGES, HELD_OUT)
    predicted = model.predict(images, verbose=0).argmax(axis=-1)
    count = len(galaxies.CLASSES)
    confusion = np.zeros((count, count), int)
    np.add.at(confusion, (labels, predicted), 1)
    silent = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            seen = keras.Model(model.inputs, layer.output).predict(images[:200], verbose=0)
            silent[layer.name] = int((seen.max(axis=(0, 1, 2)) == 0).sum())
    return {
        "accuracy": round(float((predicted == labels).mean()), 4),
        "accuracy_by_class": {
            name: round(float(row[k] / row.sum()), 4)
            for k, (name, row) in enumerate(zip(galaxies.CLASSES, confusion, strict=True))
        },
        "confusion": confusion.tolist(),
        "silent_filters": silent,
    }


def save_samples(folder: Path, each: int = 2) -> None:
    """Write the first held-out images of every class as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = galaxies.sample(each * len(galaxies.CLASSES), HELD_OUT)
    for kind, name in enumerate(galaxies.CLASSES):
        for number, image in enumerate(images[labels == kind], start=1):
            picture = Image.fromarray((image * 255).round().astype(np.uint8))
            picture.save(folder / f"{name}_{number}.png", optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).parents[1] / "jaxviz" / "data"
    parser.add_argument("--output", type=Path, default=default)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=14)
    arguments = parser.parse_args()
    model = train(arguments.images, arguments.epochs)
    result = evaluate(model)
    print(f"held-out accuracy {result['accuracy']:.3f} on {HELD_OUT_IMAGES} galaxies")
    arguments.output.mkdir(parents=True, exist_ok=True)
    model.save(arguments.output / "galaxy_cnn.keras")
    record = {
        "model": "galaxy_cnn.keras",
        "classes": list(galaxies.CLASSES),
        "input_range": [0, 1],
        "held_out": {"images": HELD_OUT_IMAGES, "seed": HELD_OUT, **result},
        "training": {
            "images": arguments.images,
            "epochs": arguments.epochs,
            "seed": TRAINING,
            "keras": keras.__version__,
        },
    }
    text = json.dumps(record, indent=1)
    (arguments.output / "galaxy_cnn.json").write_text(text + "\n", encoding="utf-8")
    save_samples(arguments.output / "galaxies")


if __name__ == "__main__":
    main()
