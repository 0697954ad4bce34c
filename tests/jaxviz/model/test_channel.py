"""One channel computed alone is that channel of the whole layer, and so is its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxviz.model import run
from jaxviz.model.channel import plan_channel, run_channel, run_whole
from jaxviz.model.dispatch import choose_implementations, prepare_weights
from jaxviz.spec import (
    Activation,
    Affine,
    BatchNorm,
    Concatenate,
    Conv,
    ConvTranspose,
    DepthwiseConv,
    InputSpec,
    Merge,
    ModelSpec,
    Node,
    Pool,
)
from tests.support.tiny import random_weights

ONES = (1, 1)


def node(name, op, *inputs, weights=()):
    return Node(name=name, layer=name, inputs=inputs, op=op, weights={r: r for r in weights})


def conv(name, source, filters, window=3, stride=1, **more):
    settings = {"padding": "same", "dilation": ONES, **more}
    op = Conv(filters=filters, window=(window,) * 2, strides=(stride,) * 2, **settings)
    return node(name, op, source, weights=("kernel", "bias"))


def depthwise(name, source, multiplier=1, stride=1):
    op = DepthwiseConv(
        window=(3, 3), strides=(stride,) * 2, dilation=ONES, padding="same", multiplier=multiplier
    )
    return node(name, op, source, weights=("kernel", "bias"))


SPEC = ModelSpec(
    name="every way of passing a channel on",
    inputs=(InputSpec(name="image", shape=(21, 22, 3)),),
    nodes=(
        conv("first", "image", 8),
        node("relu", Activation(function="relu"), "first"),
        node("pool", Pool(kind="max", window=(2, 2), strides=(2, 2), padding="valid"), "relu"),
        conv("pooled", "pool", 8, dilation=(1, 2)),
        conv("strided", "pool", 8, stride=2),
        conv("dilated", "strided", 8, dilation=(2, 2)),
        conv("grouped", "dilated", 8, groups=2),
        depthwise("depthwise", "grouped", stride=2),
        depthwise("doubled", "grouped", multiplier=2),
        node(
            "norm",
            BatchNorm(epsilon=1e-3),
            "depthwise",
            weights=("mean", "variance", "gamma", "beta"),
        ),
        conv("pointwise", "norm", 8, window=1),
        # "norm" is needed whole by "pointwise" and, for one channel, here
        node("add", Merge(kind="add"), "pointwise", "norm"),
        node("scaled", Affine(scale=tuple(range(1, 9)), offset=(0.5,)), "add"),
        node("overlap", Pool(kind="max", window=(3, 3), strides=(2, 2), padding="same"), "scaled"),
        node("mean", Pool(kind="average", window=(3, 3), strides=(2, 2), padding="same"), "scaled"),
        node("softmax", Activation(function="softmax"), "scaled"),
        node("both", Concatenate(), "overlap", "mean"),
        node(
            "up",
            ConvTranspose(
                filters=5, window=(3, 3), strides=(2, 2), dilation=ONES, crop=((0, 1), (1, 0))
            ),
            "both",
            weights=("kernel", "bias"),
        ),
    ),
    outputs=("up",),
)
WEIGHTS = random_weights(SPEC)
SHAPES = SPEC.shapes()


@pytest.mark.parametrize(
    ("layer", "platform"),
    [*((name, "cpu") for name in SPEC.layer_names), ("doubled", "tpu"), ("overlap", "tpu")],
)
def test_values_and_gradients(layer, platform, monkeypatch):
    if layer == "pooled":  # as if it were large
        monkeypatch.setattr("jaxviz.model.channel._LARGE", 0)
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
