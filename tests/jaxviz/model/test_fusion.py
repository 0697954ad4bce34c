"""What neighbours do for one another changes no value and no gradient, in float64."""

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
        # "sum_relu" is seen by two, so its pooling cannot take the ReLU over
        pool("second_pool", "sum_relu"),
        conv("last", "sum_relu", 5, stride=2),
        node("last_norm", NORM, "last", weights=STATISTICS),
        node("both", Merge(kind="add"), "last_norm", "last_norm"),
    ),
    outputs=("second_pool", "both"),
)


def forms_for(*targets):
    return choose_implementations(SPEC, targets, "cpu", SPEC.shapes())


def test_who_does_what():
    implementations = forms_for("both", "second_pool")
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


def test_what_several_read_has_its_gradient_in_memory():
    implementations = forms_for("both", "second_pool")
    assert implementations[branches_key("pool")] == "gradient apart"
    assert implementations[branches_key("sum_relu")] == "gradient apart"
    assert implementations[branches_key("last_norm")] == "gradient apart"
    assert branches_key("sum") not in implementations  # which "sum_relu" alone reads
    twice = SPEC.model_copy(
        update={"nodes": (*SPEC.nodes, node("again", Merge(kind="add"), "sum", "sum_relu"))}
    )
    implementations = choose_implementations(twice, ("again",), "cpu", twice.shapes())
    assert implementations[branches_key("sum")] == "apart both ways"


def test_forms_that_are_gone_are_known_as_such():
    implementations = forms_for("both", "second_pool")
    assert known(SPEC, implementations)
    assert not known(SPEC, {**implementations, "sum": "somehow"})
    assert not known(SPEC, {**implementations, branches_key("sum"): "somehow"})
    assert not known(SPEC, {**implementations, "no such node": "direct"})


def test_what_somebody_else_sees_is_left_alone():
    assert forms_for("both", "expand")["expand_norm"] == "factors"  # not folded
    assert forms_for("both", "first_relu")["pool"] == "slices"
    assert forms_for("both", "expand_norm")["expand_norm"] == "folded"


@pytest.mark.parametrize("target", ["pool", "depthwise_relu", "sum_relu", "both", "expand_norm"])
def test_values_and_gradients(target):
    with jax.enable_x64(True):
        draw = np.random.default_rng(2)
        # inputs that open, close and saturate every kind of ReLU
        image = jnp.asarray(4 * draw.normal(size=(2, *SPEC.inputs[0].shape)))
        weights = jax.tree.map(lambda w: np.asarray(w, np.float64), random_weights(SPEC))
        implementations = forms_for(target)
        prepared = prepare_weights(SPEC, weights, implementations, [target])

        def value(image, weights, implementations):
            return run(SPEC, weights, {"image": image}, [target], implementations)[target]

        expected, expected_vjp = jax.vjp(lambda x: value(x, weights, {}), image)
        found, found_vjp = jax.vjp(lambda x: value(x, prepared, implementations), image)
        np.testing.assert_allclose(found, expected, atol=1e-10)
        cotangent = jnp.asarray(draw.normal(size=expected.shape))
        np.testing.assert_allclose(found_vjp(cotangent)[0], expected_vjp(cotangent)[0], atol=1e-10)


def test_leaky_relus_stand_where_they_were():
    implementations = leaky_implementations(SPEC, forms_for("both"))
    assert implementations["pool"] == "slices"
    assert implementations["first_relu"] == implementations["depthwise_relu"] == "leaky"
