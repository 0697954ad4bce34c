"""A TPU's implementations of ReLU, norm and pooling equal the direct ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxviz.engine.program import with_compact_layout
from jaxviz.model.dispatch import choose_implementations
from jaxviz.model.graph import run
from jaxviz.model.leaky import leaky_implementations
from jaxviz.model.ops.registry import DIRECT, KEPT, LOWEST, MOVED_DIRECT, compute
from jaxviz.spec import Activation, BatchNorm, Conv, InputSpec, ModelSpec, Node, Pad, Pool
from tests.support.tiny import random_weights, tiny_bundle


def test_values_and_gradients_equal_the_direct_ones():
    bundle = tiny_bundle()
    shapes = bundle.spec.shapes((16, 16, 3), targets=["norm"])
    implementations = choose_implementations(bundle.spec, ["norm"], "tpu", shapes, "bfloat16")
    assert set(implementations.values()) == {KEPT, MOVED_DIRECT}
    with jax.enable_x64(True):
        weights = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), dict(bundle.weights))
        image = jnp.asarray(np.random.default_rng(0).normal(size=(2, 16, 16, 3)))

        def made(implementations):
            def of(x):
                return run(bundle.spec, weights, {"image": x}, ["norm"], implementations)["norm"]

            value, back = jax.vjp(of, image)
            return value, back(jnp.cos(jnp.arange(value.size)).reshape(value.shape))[0]

        for found, expected in zip(made(implementations), made({}), strict=True):
            assert np.abs(expected).max() > 0
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def padded_pooling(amount=1, kind="max"):
    """A network that pads a map with zeros before pooling, as ResNet50 does."""
    conv = Conv(filters=3, window=(3, 3), strides=(1, 1), dilation=(1, 1), padding="same")
    pool = Pool(kind=kind, window=(3, 3), strides=(2, 2), padding="valid")
    ops = [("conv", conv), ("relu", Activation(function="relu"))]
    ops += [("zeros", Pad(amounts=((amount, 1), (0, amount)))), ("pool", pool)]
    weights = {"conv": {"kernel": "kernel", "bias": "bias"}}
    nodes, source = [], "image"
    for name, op in ops:
        nodes.append(
            Node(name=name, layer=name, inputs=(source,), op=op, weights=weights.get(name, {}))
        )
        source = name
    inputs = (InputSpec(name="image", shape=(11, 12, 2)),)
    return ModelSpec(name="padded", inputs=inputs, nodes=tuple(nodes), outputs=("pool",))


def test_zeros_around_a_map_become_the_padding_of_the_pooling():
    spec = padded_pooling()
    implementations = choose_implementations(spec, ["pool"], "tpu", spec.shapes(), "bfloat16")
    assert implementations == {"relu": MOVED_DIRECT, "zeros": LOWEST, "pool": MOVED_DIRECT}
    assert leaky_implementations(spec, implementations) == {
        "relu": "leaky",
        "zeros": "direct",
        "pool": "direct",
    }
    with jax.enable_x64(True):
        weights = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), random_weights(spec))
        # Biases that close the ReLU over whole windows.
        images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 11, 12, 2)))
        weights["conv"]["bias"] = jnp.asarray([-4.0, -1.0, 0.0])

        def made(implementations):
            def of(x):
                return run(spec, weights, {"image": x}, ["pool"], implementations)["pool"]

            value, back = jax.vjp(of, images)
            return value, back(jnp.cos(jnp.arange(value.size)).reshape(value.shape))[0]

        for found, expected in zip(made(implementations), made({}), strict=True):
            assert np.abs(expected).max() > 0
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("spec", "targets"),
    [
        (padded_pooling(amount=3), ["pool"]),  # some windows hold zeros alone
        (padded_pooling(kind="average"), ["pool"]),
        (padded_pooling(), ["zeros", "pool"]),  # the padded map itself is asked for
    ],
)
def test_zeros_that_count_stay(spec, targets):
    implementations = choose_implementations(spec, targets, "tpu", spec.shapes(), "bfloat16")
    assert LOWEST not in implementations.values()
    assert MOVED_DIRECT not in implementations.values()


def test_a_batch_norm_before_a_pooling_changes_no_number_in_memory():
    op, draw = BatchNorm(epsilon=1e-3), np.random.default_rng(3)
    with jax.enable_x64(True):
        x = jnp.asarray(draw.normal(size=(2, 6, 7, 5)))
        roles = ("mean", "variance", "gamma", "beta")
        weights = {role: jnp.asarray(draw.uniform(0.5, 1.5, 5)) for role in roles}
        made = [
            jax.vjp(lambda x, f=f: compute(op, weights, x, implementation=f), x)
            for f in (DIRECT, KEPT)
        ]
        (expected, expected_back), (found, found_back) = made
        np.testing.assert_array_equal(found, expected)
        cotangent = jnp.asarray(draw.normal(size=x.shape))
        np.testing.assert_array_equal(found_back(cotangent)[0], expected_back(cotangent)[0])
        assert (
            compute(op, weights, x.astype(jnp.bfloat16), implementation=KEPT).dtype == jnp.bfloat16
        )


@pytest.mark.parametrize(("channels", "kept"), [(64, True), (65, False)])
def test_a_batch_norm_of_few_channels_is_kept_for_the_pooling_behind_it(channels, kept):
    spec = padded_pooling()
    norm = spec.nodes[0].model_copy(
        update={"op": BatchNorm(epsilon=1e-3), "weights": {}, "inputs": ("image",)}
    )
    pool = spec.by_name["pool"].model_copy(update={"inputs": ("conv",)})
    spec = ModelSpec(name="normed", inputs=spec.inputs, nodes=(norm, pool), outputs=("pool",))
    shapes = {"image": (11, 12, channels), "conv": (11, 12, channels), "pool": (5, 5, channels)}
    implementations = choose_implementations(spec, ["pool"], "tpu", shapes, "bfloat16")
    assert implementations == ({"conv": KEPT} if kept else {})


def test_a_relu_of_many_channels_stays_with_the_compiler():
    spec = tiny_bundle().spec
    shapes = spec.shapes((16, 16, 3), targets=["norm"])
    wide = {name: (*shape[:-1], 65) for name, shape in shapes.items()}
    assert KEPT not in choose_implementations(spec, ["norm"], "tpu", wide, "bfloat16").values()


def test_the_order_in_memory_changes_no_number():
    for units in (4, 128):
        array = jax.random.normal(jax.random.key(0), (units, 9, 10, 3))
        np.testing.assert_array_equal(jax.jit(with_compact_layout)(array), array)
    key = jax.random.split(jax.random.key(0), 4)
    assert jax.jit(with_compact_layout)(key).shape == (4,)
