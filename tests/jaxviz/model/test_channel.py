"""One channel computed alone is that channel of the whole layer, and so is its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxviz.model import run
from jaxviz.model.channel import plan_channel, run_channel, run_whole
from jaxviz.model.dispatch import choose_implementations, prepare_weights
from tests.support.branches import SHAPES, SPEC, WEIGHTS


@pytest.mark.parametrize(
    ("layer", "platform"),
    [*((name, "cpu") for name in SPEC.layer_names), ("doubled", "tpu"), ("overlap", "tpu")],
)
def test_values_and_gradients(layer, platform, monkeypatch):
    if layer == "pooled":  # as if it were large
        monkeypatch.setattr("jaxviz.model.channel.LARGE", 0)
    rng = np.random.default_rng(1)
    images = rng.normal(size=(2, *SPEC.inputs[0].shape)).astype(np.float32)
    channels = jnp.array([1, SHAPES[layer][-1] - 1])
    cotangent = rng.normal(size=SHAPES[layer][:-1]).astype(np.float32)
    plan, implementations = (
        plan_channel(SPEC, layer, SHAPES),
        choose_implementations(SPEC, [layer], platform, SHAPES),
    )
    weights = prepare_weights(SPEC, WEIGHTS, implementations, [layer])

    def alone(image, channel):
        whole = run_whole(plan, weights, image, implementations)
        return jnp.vdot(run_channel(plan, weights, whole, channel, implementations), cotangent)

    def from_whole(image, channel):
        whole = run(SPEC, WEIGHTS, {"image": image[None]}, [layer])[layer][0]
        return jnp.vdot(jnp.take(whole, channel, axis=-1), cotangent)

    score, gradient = jax.jit(jax.vmap(jax.value_and_grad(alone)))(images, channels)
    expected, reference = jax.jit(jax.vmap(jax.value_and_grad(from_whole)))(images, channels)
    np.testing.assert_allclose(score, expected, rtol=1e-4, atol=1e-4)
    scale = np.abs(reference).max()
    np.testing.assert_allclose(gradient / scale, reference / scale, atol=2e-6)


@pytest.mark.parametrize(
    ("layer", "whole", "single"),
    [
        ("pool", {"image"}, ["first", "relu", "pool"]),
        ("norm", {"dilated"}, ["grouped", "depthwise", "norm"]),
        ("overlap", {"norm"}, ["pointwise", "add", "scaled", "overlap"]),
        ("softmax", {"softmax"}, []),
        ("both", {"both"}, []),
    ],
)
def test_how_far_up_one_channel_is_enough(layer, whole, single):
    plan = plan_channel(SPEC, layer, SHAPES)
    assert set(plan.whole) == whole
    assert [n.name for n in plan.single] == single
