"""A network with every op that can compute one channel alone, and with branches."""

from __future__ import annotations

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
        # "pointwise" needs all channels of "norm", "add" needs one
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
