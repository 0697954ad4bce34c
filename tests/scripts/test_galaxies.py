"""Galaxies look like their classes, and the bundled classifier reaches its recorded accuracy."""

import json

import numpy as np
import pytest
from PIL import Image

import jaxviz
from scripts import galaxies

RECORD = json.loads(jaxviz.example("galaxy_cnn.json").read_text())


def test_a_sample_is_the_same_every_time_and_a_longer_one_continues_it():
    images, labels = galaxies.sample(6, seed=9, size=32)
    more, more_labels = galaxies.sample(8, seed=9, size=32)
    np.testing.assert_array_equal(images, more[:6])
    np.testing.assert_array_equal(labels, more_labels[:6])
    assert images.min() >= 0
    assert images.max() <= 1


def test_sersic_holds_half_the_light_within_the_effective_radius():
    radius = np.arange(0.5, 4000)
    light = galaxies.sersic(radius, 100.0, 1.0) * radius
    assert light[:100].sum() / light.sum() == pytest.approx(0.5, abs=0.01)


def test_classes_look_as_their_names_say():
    images, labels = galaxies.sample(60, seed=11)
    blueness = np.array([i[i.max(axis=-1) > 0.2].mean(axis=0) @ (-1, 0, 1) for i in images])
    mean = {name: blueness[labels == k].mean() for k, name in enumerate(galaxies.CLASSES)}
    assert min(mean["spiral"], mean["irregular"]) > max(mean["elliptical"], mean["lenticular"])
    # Edge-on discs are long and thin: moments of the light along the two axes.
    rows, columns = np.mgrid[: galaxies.SIZE, : galaxies.SIZE]

    def flatness(image):
        light = np.clip(image.mean(axis=-1) - 0.15, 0, None)
        points = np.cov(np.stack([rows.ravel(), columns.ravel()]), aweights=light.ravel())
        low, high = np.linalg.eigvalsh(points)
        return np.sqrt(low / high)

    flat = np.array([flatness(image) for image in images])
    means = [flat[labels == k].mean() for k in range(len(galaxies.CLASSES))]
    assert galaxies.CLASSES[int(np.argmin(means))] == "edge-on"


def test_the_recorded_accuracy_is_what_the_converted_model_reaches():
    held_out = RECORD["held_out"]
    images, labels = galaxies.sample(200, held_out["seed"])
    model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
    predicted = np.asarray(model(images)).argmax(axis=-1)
    # Three standard errors, because only 200 of the 2000 images are used.
    p = held_out["accuracy"]
    assert (predicted == labels).mean() >= p - 3 * np.sqrt(p * (1 - p) / 200) - 1e-9
    assert np.trace(held_out["confusion"]) / held_out["images"] == pytest.approx(p, abs=1e-4)


def test_the_sample_images_are_held_out_ones():
    images, labels = galaxies.sample(10, RECORD["held_out"]["seed"])
    first = images[labels == galaxies.CLASSES.index("spiral")][0]
    with Image.open(jaxviz.example("galaxies/spiral_1.png")) as picture:
        np.testing.assert_array_equal(np.asarray(picture), (first * 255).round().astype(np.uint8))


def test_files_are_small():
    assert jaxviz.example("galaxy_cnn.keras").stat().st_size < 1 << 20
    samples = list(jaxviz.example("galaxies").glob("*.png"))
    assert len(samples) == 10
    assert sum(p.stat().st_size for p in samples) < 300_000
