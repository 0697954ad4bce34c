"""The published recipe, against an independent implementation of it in TensorFlow.

Step by step: from the reference's own images at several steps, the same gradient and score.
End to end: ascent is chaotic, so the share of units that end alike is compared with that of
the reference against itself, its start perturbed by 1e-6.
"""

import numpy as np
import pytest

import jaxviz
from jaxviz.presets import PRESETS
from tests.support.models import real_model

tf = pytest.importorskip("tensorflow")

STEPS = 30
COMPARED = (0, 10, 29)
PERTURBATION = 1e-6


def reference(model, layer, channels, start, trim, *, pre_activation=False):
    """keras.io's loop, all units side by side: images, gradients and scores at every step.

    The one difference is the normalisation, which is per image: over the whole batch it would
    couple the filters. It is what the published loop does when it has one image.
    """
    extractor = tf.keras.Model(model.inputs, model.get_layer(layer).output)
    pick = tf.one_hot(channels, extractor.output.shape[-1])

    @tf.function(reduce_retracing=True)
    def step(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            activation = extractor(images, training=False)
            edge = min(trim, (activation.shape[1] - 1) // 2)
            size = activation.shape[1]
            inner = activation[:, edge : size - edge, edge : size - edge, :]
            scores = tf.reduce_sum(tf.reduce_mean(inner, axis=(1, 2)) * pick, axis=-1)
        gradients = tape.gradient(scores, images)
        norms = tf.reduce_sum(gradients**2, axis=(1, 2, 3), keepdims=True)
        unit = gradients * tf.math.rsqrt(tf.maximum(norms, 1e-12))
        return scores, gradients, images + 10.0 * unit

    images, rows = tf.constant(start), []
    for _ in range(STEPS):
        scores, gradients, following = step(images)
        rows.append((images.numpy(), gradients.numpy(), scores.numpy()))
        images = following
    rows.append((images.numpy(), None, step(images)[0].numpy()))
    return rows


def cosine(a, b):
    a, b = a.reshape(len(a), -1).astype(np.float64), b.reshape(len(b), -1).astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.einsum("ni,ni->n", a, b) / np.where(norms == 0, 1, norms)


def check_steps(model, layer, channels, rows, preset):
    """Same image in, same gradient direction and score out, at all compared steps at once."""
    images, gradients, scores = (
        np.concatenate(column) for column in zip(*(rows[n] for n in COMPARED), strict=True)
    )
    live = np.abs(gradients).reshape(len(images), -1).max(axis=1) > 0
    units = channels * len(COMPARED)
    ours = jaxviz.render(model, layer, units, preset=preset, steps=1, init=images, chunk=8)
    np.testing.assert_array_equal(ours.status[~live], 2)
    relative = np.abs(ours.initial_scores - scores) / np.maximum(np.abs(scores), 1e-12)
    good = (cosine(ours.raw - images, gradients) >= 0.9999) & (relative <= 1e-4)
    assert good[live].mean() >= 0.99, (layer, np.flatnonzero(live & ~good))


def check_end(model, keras_model, layer, channels, rows, trim, preset):
    """After all steps as many units end alike as when the reference is perturbed."""
    start = rows[0][0]
    noise = np.random.default_rng(1).normal(size=start.shape).astype(np.float32)
    again = reference(keras_model, layer, channels, start + PERTURBATION * noise, trim)
    live = np.abs(rows[0][1]).reshape(len(start), -1).max(axis=1) > 0
    ours = jaxviz.render(model, layer, channels, preset=preset, init=start, chunk=8)
    alike = (cosine(ours.raw, rows[-1][0]) > 0.999)[live].mean()
    baseline = (cosine(again[-1][0], rows[-1][0]) > 0.999)[live].mean()
    # One unit of sampling noise: each share is a count of chaotic outcomes.
    assert alike >= baseline - 1.0 / live.sum(), (layer, alike, baseline)


def starts(count, shape, low, high, seed=0):
    middle, reach = (low + high) / 2, (high - low) / 2
    uniform = np.random.default_rng(seed).uniform(-0.125, 0.125, (count, *shape))
    return (middle + reach * uniform).astype(np.float32)


@pytest.fixture(scope="module")
def fer():
    import tf_keras

    path = real_model("fer.hdf5")
    return tf_keras.models.load_model(path, compile=False), jaxviz.load(path)


@pytest.fixture(scope="module")
def galaxy():
    path = jaxviz.example("galaxy_cnn.keras")
    return tf.keras.models.load_model(path, compile=False), jaxviz.load(path)


@pytest.mark.parametrize("layer", ["conv2d_2", "conv2d_4", "conv2d_7"])
def test_fer(fer, layer, monkeypatch):
    keras_model, model = fer
    monkeypatch.setattr(tf.keras, "Model", type(keras_model))  # tf_keras, which reads Keras 2.0
    _check(keras_model, model, layer, (64, 64, 1))


@pytest.mark.parametrize("layer", ["conv1", "conv3", "conv5"])
def test_galaxy(galaxy, layer):
    keras_model, model = galaxy
    _check(keras_model, model, layer, model.input_shape)


def _check(keras_model, model, layer, shape):
    count = min(8, model.shapes[layer][-1])
    channels = list(range(count))
    for name, low, high in (("keras-io", -1.0, 1.0), ("article", 0.0, 1.0)):
        preset = PRESETS[name]
        rows = reference(
            keras_model, layer, channels, starts(count, shape, low, high), preset.objective.trim
        )
        check_steps(model, layer, channels, rows, preset)
        if name == "keras-io":
            check_end(model, keras_model, layer, channels, rows, preset.objective.trim, preset)
