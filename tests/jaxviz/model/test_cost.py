"""Operations and memory traffic of a step, as the compiler counts them, do not grow."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

import jaxviz
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.model.cost import step_cost
from jaxviz.model.ops import compute
from jaxviz.presets import get_preset
from jaxviz.runtime.noinline import branching
from jaxviz.spec import (
    Conv,
    ConvTranspose,
    Dense,
    DepthwiseConv,
    InputSpec,
    ModelSpec,
    Node,
    Pool,
)

UNITS = 4
ONCE = {"strides": (1, 1), "dilation": (1, 1)}


def cost(layer: str) -> tuple[float, float]:
    """(million floating point operations, megabytes moved) of a step, per image."""
    model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
    renderer = LayerRenderer.for_layer(model, layer, get_preset("keras-io"), size=64)
    found = renderer.lower(UNITS).compile().cost_analysis()
    return found["flops"] / UNITS / 1e6, found["bytes accessed"] / UNITS / 1e6


@pytest.mark.skipif(
    jax.default_backend() != "cpu", reason="the counts are of the CPU's implementations"
)
@pytest.mark.parametrize(
    ("layer", "flops", "megabytes"), [("conv1", 1.96, 3.54), ("conv3", 46.4, 5.54)]
)
def test_a_step_costs_no_more_than_it_did(layer, flops, megabytes):
    found = cost(layer)
    assert found[0] <= 1.02 * flops, found
    assert found[1] <= 1.02 * megabytes, found


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the implementation is a CPU's")
def test_a_depthwise_convolution_is_joined_with_nothing_forward_and_back():
    op = DepthwiseConv(window=(7, 7), padding="same", bias=False, **ONCE)
    x, kernel, matrix = jnp.ones((2, 9, 8, 32)), jnp.ones((7, 7, 32, 1)), jnp.ones((32, 64))

    def step(x, kernel, matrix):
        y = compute(op, {"kernel": kernel}, x, implementation="slices")
        gate = jnp.mean(jax.nn.silu(y), (1, 2), keepdims=True)
        return jnp.sum(jnp.square((jax.nn.silu(y) * gate) @ matrix))

    program = jax.jit(jax.grad(step)).lower(x, kernel, matrix).compile().as_text()
    assert program.count(" call(") == 2


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the implementation is a CPU's")
def test_a_strided_average_divides_its_gradient_once():
    op = Pool(kind="average", window=(2, 2), strides=(2, 2), padding="valid")

    def step(x):
        return jnp.sum(jnp.tanh(compute(op, {}, jnp.sin(x), implementation="slices")))

    program = jax.jit(jax.grad(step)).lower(jnp.ones((2, 8, 8, 32))).compile().as_text()
    assert program.count(" call(") == 2  # the sum, and the way back


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the implementation is a CPU's")
def test_the_sum_of_a_maps_gradients_is_computed_once():
    def step(image, matrices, forward):
        x = image
        for matrix in matrices:  # residual blocks
            x = branching(jax.nn.relu(x) + jnp.tanh(x @ matrix), forward)
        return jnp.sum(jnp.square(x))

    matrices = [jnp.ones((8, 8))] * 4
    for forward, calls in ((False, 4), (True, 8)):
        gradient = jax.jit(jax.grad(partial(step, forward=forward)))
        program = gradient.lower(jnp.ones((16, 8)), matrices).compile().as_text()
        assert program.count(" call(") == calls


HALF = {"strides": (2, 2), "dilation": (1, 1)}
OPERATIONS = [
    (Conv(filters=8, window=(3, 5), padding="same", **HALF), (9, 8, 4)),
    (Conv(filters=8, window=(3, 3), padding="valid", groups=2, **ONCE), (9, 8, 4)),
    (DepthwiseConv(window=(3, 3), padding="same", **HALF), (9, 8, 4)),
    (ConvTranspose(filters=8, window=(4, 3), crop=((1, 1), (0, 1)), **HALF), (5, 4, 3)),
    (Dense(units=7), (5,)),
]


@pytest.mark.parametrize(("op", "shape"), OPERATIONS)
def test_operations_are_counted_as_the_compiler_counts_them(op, shape):
    node = Node(name="layer", layer="layer", op=op, inputs=("image",))
    spec = ModelSpec(
        name="one",
        inputs=(InputSpec(name="image", shape=shape),),
        nodes=(node,),
        outputs=("layer",),
    )
    weights = {
        role: jnp.ones([n or 1 for n in size])
        for role, size in op.weight_shapes(shape).items()
        if role != "bias"
    }
    plain = op.model_copy(update={"bias": False})
    program = jax.jit(lambda x: compute(plain, weights, x)).lower(jnp.ones((1, *shape)))
    counted = program.cost_analysis()["flops"]
    # Half the count is forward.
    found = step_cost(spec, "layer", shape, one_channel=False).flops / 2
    assert found == pytest.approx(counted, rel=0.02)


def test_one_channel_costs_its_share_of_the_last_layer_alone():
    spec = jaxviz.load_bundle(jaxviz.example("galaxy_cnn.keras")).spec
    shape = (64, 64, 3)
    first, second = (
        step_cost(spec, layer, shape, one_channel=False) for layer in ("conv1", "conv2")
    )
    one = step_cost(spec, "conv2", shape)
    share = (second.flops - first.flops) // spec.shapes()["conv2"][-1]
    assert one.flops == first.flops + share
    assert one.activations < second.activations
