"""A small network with random weights: two convolutions, pooling, batch norm, a dense head."""

from __future__ import annotations

import numpy as np

from jaxviz.bundle import Bundle
from jaxviz.spec import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    GlobalPool,
    InputRange,
    InputSpec,
    ModelSpec,
    Node,
    Pool,
)


def tiny_bundle(
    *, channels: int = 3, seed: int = 0, range_: InputRange | None = None, flatten: bool = False
) -> Bundle:
    """A new bundle; with `flatten` its dense head takes only images of 16×16."""
    collect = Flatten() if flatten else GlobalPool(kind="average")
    spec = ModelSpec(
        name="tiny",
        inputs=(InputSpec(name="image", shape=(16, 16, channels)),),
        nodes=(
            *_conv("conv1", "image", 6),
            Node(
                name="pool1",
                layer="pool1",
                inputs=("conv1",),
                op=Pool(kind="max", window=(2, 2), strides=(2, 2), padding="valid"),
            ),
            *_conv("conv2", "pool1", 10),
            Node(
                name="norm",
                layer="norm",
                inputs=("conv2",),
                op=BatchNorm(epsilon=1e-3),
                weights={role: role for role in ("mean", "variance", "gamma", "beta")},
            ),
            Node(name="mean", layer="mean", inputs=("norm",), op=collect),
            Node(
                name="scores",
                layer="scores",
                inputs=("mean",),
                op=Dense(units=4),
                weights={"kernel": "kernel", "bias": "bias"},
            ),
        ),
        outputs=("scores",),
        range=range_,
    )
    return Bundle(spec, random_weights(spec, seed))


def random_weights(spec: ModelSpec, seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    weights: dict[str, dict[str, np.ndarray]] = {}
    for node, role, shape in spec.weight_shapes():
        values = rng.uniform(0.5, 1.5, shape) if role == "variance" else rng.normal(size=shape)
        fan = np.prod([n or 1 for n in shape[:-1]])
        scale = {"variance": 1.0, "kernel": np.sqrt(2 / fan)}.get(role, 0.1)
        weights.setdefault(node.layer, {})[node.weights[role]] = (scale * values).astype(np.float32)
    return weights


def _conv(
    name: str, source: str, filters: int, window: tuple[int, ...] = (3, 3)
) -> tuple[Node, Node]:
    before, ones = f"{name}/pre_activation", (1,) * len(window)
    op = Conv(filters=filters, window=window, strides=ones, dilation=ones, padding="same")
    return (
        Node(
            name=before,
            layer=name,
            stage="pre_activation",
            inputs=(source,),
            op=op,
            weights={"kernel": "kernel", "bias": "bias"},
        ),
        Node(name=name, layer=name, inputs=(before,), op=Activation(function="relu")),
    )


def signal_bundle(*, channels: int = 2, seed: int = 0, range_: InputRange | None = None) -> Bundle:
    """A one-dimensional network: two convolutions along a signal, and a dense head."""
    spec = ModelSpec(
        name="signals",
        inputs=(InputSpec(name="signal", shape=(64, channels)),),
        nodes=(
            *_conv("conv1", "signal", 4, window=(5,)),
            Node(
                name="pool",
                layer="pool",
                inputs=("conv1",),
                op=Pool(kind="max", window=(2,), strides=(2,), padding="valid"),
            ),
            *_conv("conv2", "pool", 6, window=(5,)),
            Node(name="mean", layer="mean", inputs=("conv2",), op=GlobalPool(kind="average")),
            Node(
                name="scores",
                layer="scores",
                inputs=("mean",),
                op=Dense(units=3),
                weights={"kernel": "kernel", "bias": "bias"},
            ),
        ),
        outputs=("scores",),
        range=range_,
    )
    return Bundle(spec, random_weights(spec, seed))
