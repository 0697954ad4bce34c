"""Work that neighbours take over changes no value and no gradient, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxviz.model import run
from jaxviz.model.dispatch import choose_implementations, known, prepare_weights
from jaxviz.model.graph import branches_key
from jaxviz.model.leaky import leaky_implementations
from jaxviz.spec import (
    Activation,
    BatchNorm,
    Conv,
    DepthwiseConv,
    InputSpec,
    Merge,
    ModelSpec,
    Node,
    Pool,
)
from tests.support.tiny import random_weights

ONES = (1, 1)
RELU = Activation(function="relu")
RELU6 = Activation(function="relu", arguments={"max_value": 6.0})
NORM = BatchNorm(epsilon=1e-3)
STATISTICS = ("mean", "variance", "gamma", "beta")


def node(name, op, *inputs, weights=()):
    return Node(name=name, layer=name, inputs=inputs, op=op, weights={r: r for r in weights})


def conv(name, source, filters, window=3, stride=1):
    op = Conv(
        filters=filters,
        window=(window,) * 2,
        strides=(stride,) * 2,
        dilation=ONES,
        padding="same",
        bias=name == "first",
    )
    return node(name, op, source, weights=("kernel", "bias") if op.bias else ("kernel",))


def pool(name, source):
    op = Pool(kind="max", window=(3, 3), strides=(2, 2), padding="same")
    return node(name, op, source)


DEPTHWISE = DepthwiseConv(
    window=(3, 3), strides=ONES, dilation=ONES, padding="same", multiplier=2, bias=False
)
SPEC = ModelSpec(
    name="neighbours",
    inputs=(InputSpec(name="image", shape=(19, 18, 3)),),
    nodes=(
        conv("first", "image", 6, stride=2),
        node("first_norm", NORM, "first", weights=STATISTICS),
        node("first_relu", RELU, "first_norm"),
        pool("pool", "first_relu"),
        conv("expand", "pool", 8, window=1),
        node("expand_norm", NORM, "expand", weights=STATISTICS),
        node("expand_relu", RELU6, "expand_norm"),
        node("depthwise", DEPTHWISE, "expand_relu", weights=("kernel",)),
        node("depthwise_norm", NORM, "depthwise", weights=STATISTICS),
        node("depthwise_relu", RELU6, "depthwise_norm"),
        conv("project", "depthwise_relu", 6, window=1),
        node("project_norm", NORM, "project", weights=STATISTICS),
        node("sum", Merge(kind="add"), "project_norm", "pool"),
        node("sum_relu", RELU, "sum"),
        # Two nodes read "sum_relu", so its pooling cannot take over the ReLU.
        pool("second_pool", "sum_relu"),
        conv("last", "sum_relu", 5, stride=2),
        node("last_norm", NORM, "last", weights=STATISTICS),
        node("both", Merge(kind="add"), "last_norm", "last_norm"),
    ),
    outputs=("second_pool", "both"),
)


def implementations_for(*targets):
    return choose_implementations(SPEC, targets, "cpu", SPEC.shapes())


def test_which_node_takes_work_over():
    implementations = implementations_for("both", "second_pool")
    assert {
        name for name, implementation in implementations.items() if implementation == "folded"
    } == {name for name in SPEC.layer_names if name.endswith("_norm")}
    assert {
        name for name, implementation in implementations.items() if implementation == "relu moved"
    } == {"first_relu", "pool"}
    assert {
        n for n, implementation in implementations.items() if implementation == "result kept"
    } == {
        "depthwise_relu",
        "sum_relu",
    }


def test_a_node_with_several_readers_has_its_gradient_in_memory():
    implementations = implementations_for("both", "second_pool")
    assert implementations[branches_key("pool")] == "gradient apart"
    assert implementations[branches_key("sum_relu")] == "gradient apart"
    assert implementations[branches_key("last_norm")] == "gradient apart"
    assert branches_key("sum") not in implementations  # only "sum_relu" reads it
    twice = SPEC.model_copy(
        update={"nodes": (*SPEC.nodes, node("again", Merge(kind="add"), "sum", "sum_relu"))}
    )
    implementations = choose_implementations(twice, ("again",), "cpu", twice.shapes())
    assert implementations[branches_key("sum")] == "apart both ways"


def test_an_implementation_that_does_not_exist_is_not_known():
    implementations = implementations_for("both", "second_pool")
    assert known(SPEC, implementations)
    assert not known(SPEC, {**implementations, "sum": "somehow"})
    assert not known(SPEC, {**implementations, branches_key("sum"): "somehow"})
    assert not known(SPEC, {**implementations, "no such node": "direct"})


def test_a_value_that_something_else_reads_stays():
    assert implementations_for("both", "expand")["expand_norm"] == "factors"  # not folded
    assert implementations_for("both", "first_relu")["pool"] == "slices"
    assert implementations_for("both", "expand_norm")["expand_norm"] == "folded"


@pytest.mark.parametrize("target", ["pool", "depthwise_relu", "sum_relu", "both", "expand_norm"])
def test_values_and_gradients(target):
    with jax.enable_x64(True):
        draw = np.random.default_rng(2)
        # Inputs that open, close and saturate every kind of ReLU.
        image = jnp.asarray(4 * draw.normal(size=(2, *SPEC.inputs[0].shape)))
        weights = jax.tree.map(lambda w: np.asarray(w, np.float64), random_weights(SPEC))
        implementations = implementations_for(target)
        prepared = prepare_weights(SPEC, weights, implementations, [target])

        def value(image, weights, implementations):
            return run(SPEC, weights, {"image": image}, [target], implementations)[target]

        expected, expected_vjp = jax.vjp(lambda x: value(x, weights, {}), image)
        found, found_vjp = jax.vjp(lambda x: value(x, prepared, implementations), image)
        np.testing.assert_allclose(found, expected, atol=1e-10)
        cotangent = jnp.asarray(draw.normal(size=expected.shape))
        np.testing.assert_allclose(found_vjp(cotangent)[0], expected_vjp(cotangent)[0], atol=1e-10)


def test_leaky_relus_are_not_moved():
    implementations = leaky_implementations(SPEC, implementations_for("both"))
    assert implementations["pool"] == "slices"
    assert implementations["first_relu"] == implementations["depthwise_relu"] == "leaky"
