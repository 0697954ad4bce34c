"""Every operation: shapes, gradient, one channel, bounds and FLOPs agree with its computation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxviz import spec as spec_module
from jaxviz.model import run
from jaxviz.model.bounds import channel_bounds
from jaxviz.model.channel import plan_channel, run_channel, run_whole
from jaxviz.model.ops import DIRECT, IMPLEMENTATIONS, RULES
from jaxviz.model.ops.registry import ALL_CHANNELS, no_products
from jaxviz.spec import (
    Activation,
    Affine,
    BatchNorm,
    Concatenate,
    Conv,
    ConvTranspose,
    Crop,
    Dense,
    DepthwiseConv,
    Einsum,
    EinsumDense,
    Expand,
    Flatten,
    GlobalPool,
    GroupNorm,
    Identity,
    InputSpec,
    LayerNorm,
    Math,
    Merge,
    ModelSpec,
    Node,
    Op,
    Pad,
    Permute,
    Pool,
    PRelu,
    Reduce,
    RepeatVector,
    Reshape,
    Resize,
    Scale,
    Slice,
    Squeeze,
    UnitNorm,
    Upsample,
)
from jaxviz.spec.ops import OPS
from tests.support.tiny import random_weights

WINDOW = {"window": (3, 2), "strides": (2, 1), "dilation": (1, 1), "padding": "same"}
CROP = ((1, 0), (0, 0))
#: At least one example of every operation, with the shapes of its inputs.
EXAMPLES: list[tuple[Op, tuple[tuple[int, ...], ...]]] = [
    (Conv(filters=6, **WINDOW), ((6, 5, 4),)),
    (Conv(filters=6, groups=2, **WINDOW), ((6, 5, 4),)),
    (DepthwiseConv(**WINDOW), ((6, 5, 4),)),
    (DepthwiseConv(multiplier=2, **WINDOW), ((6, 5, 4),)),
    (
        ConvTranspose(filters=3, window=(3, 2), strides=(2, 1), dilation=(1, 1), crop=CROP),
        ((6, 5, 4),),
    ),
    (Dense(units=3), ((4,),)),
    (EinsumDense(equation="abc,cd->abd", kernel=(4, 3), bias=(3,)), ((5, 4),)),
    (Einsum(equation="abc,acd->abd"), ((5, 4), (4, 3))),
    (Activation(function="relu", arguments={"max_value": 0.5}), ((6, 5, 4),)),
    (Activation(function="softmax"), ((6, 5, 4),)),
    (PRelu(shared_axes=(0, 1)), ((6, 5, 4),)),
    (BatchNorm(epsilon=0.01), ((6, 5, 4),)),
    (BatchNorm(epsilon=0.01, axis=-2), ((6, 5, 4),)),
    (Affine(scale=(1.0, -2.0, 0.5, 3.0), offset=(0.5,)), ((6, 5, 4),)),
    (Scale(shape=(4,)), ((6, 5, 4),)),
    (Math(function="square"), ((6, 5, 4),)),
    (Merge(kind="average"), ((6, 5, 4), (6, 5, 4))),
    (Merge(kind="multiply"), ((6, 5, 4), (1, 1, 4))),
    (Identity(), ((6, 5, 4),)),
    (LayerNorm(epsilon=0.01), ((6, 5, 4),)),
    (GroupNorm(groups=2, epsilon=0.01), ((6, 5, 4),)),
    (UnitNorm(), ((6, 5, 4),)),
    (Reduce(kind="mean", axes=(-2,)), ((6, 5, 4),)),
    (Reduce(kind="max", axes=(-1,), keepdims=True), ((6, 5, 4),)),
    (Pool(kind="max", window=(2, 2), strides=(2, 2), padding="same"), ((6, 5, 4),)),
    (Pool(kind="average", window=(2, 2), strides=(2, 2), padding="valid"), ((6, 5, 4),)),
    (GlobalPool(kind="average"), ((6, 5, 4),)),
    (Pad(amounts=((1, 0), (0, 2))), ((6, 5, 4),)),
    (Crop(amounts=((1, 0), (0, 2))), ((6, 5, 4),)),
    (Upsample(factors=(2, 1)), ((6, 5, 4),)),
    (Resize(size=(4, 7)), ((6, 5, 4),)),
    (Slice(bounds=((1, None, 2), (None, None, 1), (None, None, 1))), ((6, 5, 4),)),
    (Slice(bounds=((None, None, 1), (None, None, 1), (1, 3, 1))), ((6, 5, 4),)),
    (Expand(axis=-2), ((6, 5, 4),)),
    (Squeeze(axis=-2), ((6, 1, 4),)),
    (Concatenate(), ((6, 5, 4), (6, 5, 2))),
    (Reshape(shape=(10, -1)), ((6, 5, 4),)),
    (Flatten(), ((6, 5, 4),)),
    (Permute(order=(1, 0, 2)), ((6, 5, 4),)),
    (RepeatVector(times=3), ((4,),)),
]
every_example = pytest.mark.parametrize(
    ("op", "shapes"), EXAMPLES, ids=[f"{n}-{op.op}" for n, (op, _) in enumerate(EXAMPLES)]
)


def network(op: Op, shapes: tuple[tuple[int, ...], ...]) -> ModelSpec:
    """A model of one operation. Every input is the image or, for another shape, a part of it."""
    nodes = []
    sources = ["image"]
    for number, shape in enumerate(shapes[1:], 1):
        if shape == shapes[0]:
            sources.append("image")
            continue
        name = f"input{number}"
        ends = zip(shape, shapes[0], strict=True)
        bounds = tuple((None, None, 1) if n == m else (0, n, 1) for n, m in ends)
        nodes.append(Node(name=name, layer=name, inputs=("image",), op=Slice(bounds=bounds)))
        sources.append(name)
    roles = {role: role for role in op.weight_shapes(*shapes)}
    nodes.append(Node(name="layer", layer="layer", inputs=tuple(sources), op=op, weights=roles))
    image = InputSpec(name="image", shape=shapes[0])
    return ModelSpec(name="one", inputs=(image,), nodes=tuple(nodes), outputs=("layer",))


@every_example
def test_one_channel_and_its_gradient_are_those_of_the_whole(op, shapes):
    spec = network(op, shapes)
    weights, known = random_weights(spec), spec.shapes(shapes[0])
    image = np.random.default_rng(1).uniform(-1, 1, shapes[0]).astype(np.float32)
    plan = plan_channel(spec, "layer", known)
    assert known["layer"] == op.output_shape(*shapes)

    def alone(image, channel):
        return run_channel(plan, weights, run_whole(plan, weights, image), channel)

    def whole(image, channel):
        result = run(spec, weights, {"image": image[None]}, ["layer"])["layer"][0]
        assert result.shape == known["layer"]
        return jnp.take(result, channel, axis=-1)

    @jax.jit
    def both(image, channel):
        found = []
        for function in (alone, whole):
            value, back = jax.vjp(lambda x, f=function: f(x, channel), image)
            cotangent = jnp.cos(jnp.arange(value.size, dtype=jnp.float32)).reshape(value.shape)
            found.append((value, back(cotangent)[0]))
        return found

    found, expected = both(image, known["layer"][-1] - 1)
    assert np.isfinite(expected[1]).all()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@every_example
def test_results_lie_within_the_bounds(op, shapes):
    spec = network(op, shapes)
    weights = random_weights(spec)
    channels = shapes[0][-1]
    bounds = channel_bounds(spec, weights, "layer", (np.full(channels, -1.0), np.ones(channels)))
    if bounds is None:
        return
    draw = np.random.default_rng(2)
    images = draw.choice([-1.0, -0.3, 0.4, 1.0], size=(200, *shapes[0])).astype(np.float32)
    results = jax.jit(lambda x: run(spec, weights, {"image": x}, ["layer"])["layer"])(images)
    axes = tuple(range(results.ndim - 1))
    assert (np.min(results, axes) >= bounds[0] - 1e-5).all()
    assert (np.max(results, axes) <= bounds[1] + 1e-5).all()


@every_example
def test_products_are_counted_as_the_compiler_counts_them(op, shapes):
    flops = RULES[type(op)].flops
    if flops is no_products:
        return
    spec = network(op, shapes)
    weights = random_weights(spec)
    image = jnp.ones((1, *shapes[0]))
    program = jax.jit(lambda x: run(spec, weights, {"image": x}, ["layer"])["layer"]).lower(image)
    result = op.output_shape(*shapes)
    bias = np.prod(result) if "bias" in op.weight_shapes(*shapes) else 0
    counted = program.cost_analysis()["flops"] - bias
    assert flops(op, shapes, result) == pytest.approx(counted, rel=0.02)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)
def test_an_operation_has_an_example_a_reference_implementation_and_rules(op):
    assert op in {type(example) for example, _ in EXAMPLES}, "add an example above"
    assert DIRECT in IMPLEMENTATIONS[op]
    rule = RULES[op].one_channel
    # An operation that may keep channels apart says how, and no other does.
    assert (rule.from_same is None) == (op.channelwise is False)
    assert rule is ALL_CHANNELS or rule.from_same or rule.from_whole


def test_no_rules_are_left_over():
    assert set(RULES) == set(IMPLEMENTATIONS) == set(OPS)


def test_an_operation_is_named_and_exported():
    names = [op.model_fields["op"].default for op in OPS]
    assert len(set(names)) == len(OPS)
    missing = {op.__name__ for op in OPS} - set(spec_module.__all__)
    assert not missing, "import them in jaxviz/spec/__init__.py"
