"""The converted model is an ordinary Flax model."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxviz.errors import ImageSizeError, LayerError
from jaxviz.model import Model
from tests.support.tiny import tiny_bundle


@pytest.fixture
def model():
    return Model(tiny_bundle())


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(5, 16, 16, 3)).astype(np.float32)


def by_hand(bundle, images):
    """The tiny network in NumPy and float64."""
    x = images.astype(np.float64)
    for layer in ("conv1", "conv2"):
        kernel = bundle.weights[layer]["kernel"].astype(np.float64)
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        x = np.maximum(
            np.einsum("nyxcij,ijcf->nyxf", windows, kernel) + bundle.weights[layer]["bias"], 0
        )
        if layer == "conv1":
            n, h, w, c = x.shape
            x = x.reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))
    norm = bundle.weights["norm"]
    x = (x - norm["mean"]) / np.sqrt(norm["variance"] + 1e-3) * norm["gamma"] + norm["beta"]
    return (
        x.mean(axis=(1, 2)) @ bundle.weights["scores"]["kernel"] + bundle.weights["scores"]["bias"]
    )


def test_output_and_taps(model, images):
    output, seen = model(images, taps=("conv1/pre_activation", "conv1", "norm"))
    np.testing.assert_allclose(output, by_hand(tiny_bundle(), images), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(seen["conv1"], np.maximum(seen["conv1/pre_activation"], 0))
    assert seen["norm"].shape == (5, 8, 8, 10)
    np.testing.assert_array_equal(model(images), output)


def test_parameters_are_keyed_by_layer(model):
    state = nnx.state(model, nnx.Param)
    assert set(state["params"]) == {"conv1", "conv2", "norm", "scores"}
    assert set(state["params"]["norm"]) == {"gamma", "beta"}
    assert set(nnx.state(model, nnx.BatchStat)["params"]["norm"]) == {"mean", "variance"}


def test_split_and_merge(model, images):
    again = nnx.merge(*nnx.split(model))
    np.testing.assert_array_equal(again(images), model(images))


def test_one_step_of_fine_tuning(model, images):
    labels = jnp.array([0, 1, 2, 3, 0])
    before = jax.tree.map(np.asarray, nnx.state(model))
    optimizer = nnx.Optimizer(model, optax.sgd(0.01), wrt=nnx.Param)

    @nnx.jit
    def train(model, optimizer):
        def loss(model):
            logits = model(images)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        value, gradients = nnx.value_and_grad(loss)(model)
        optimizer.update(model, gradients)
        return value

    first, second = train(model, optimizer), train(model, optimizer)
    assert second < first
    after = nnx.state(model)
    for layer in ("conv1", "conv2", "scores"):
        moved = after["params"][layer]["kernel"][...] - before["params"][layer]["kernel"][...]
        assert np.abs(moved).max() > 0
    np.testing.assert_array_equal(
        after["params"]["norm"]["mean"][...], before["params"]["norm"]["mean"][...]
    )


def test_images_that_do_not_fit_are_refused(model, images):
    with pytest.raises(ImageSizeError, match="expected"):
        model(images[..., :1])
    with pytest.raises(LayerError, match="conv1"):
        model(images, taps=["conv11"])
