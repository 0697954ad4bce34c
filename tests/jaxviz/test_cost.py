"""A step's operations and memory traffic, counted by the compiler: neither may grow unseen."""

import jax
import jax.numpy as jnp
import pytest

import jaxviz
from jaxviz.batch import LayerRenderer
from jaxviz.presets import get_preset

UNITS = 4


def cost(layer: str) -> tuple[float, float]:
    """(million floating point operations, megabytes moved) of a step, per image."""
    model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
    renderer = LayerRenderer(model, layer, get_preset("keras-io"), size=64, chunk=UNITS)
    program = renderer._program(renderer.preset)
    channels = jnp.arange(UNITS)
    state = program.start(renderer._params, jax.random.split(jax.random.key(0), UNITS))
    step, _ = program._stages[-1]
    found = step.lower(renderer._params, state, channels).compile().cost_analysis()
    return found["flops"] / UNITS / 1e6, found["bytes accessed"] / UNITS / 1e6


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the counts are of the CPU's forms")
@pytest.mark.parametrize(
    ("layer", "flops", "megabytes"), [("conv1", 1.66, 2.19), ("conv3", 39.8, 9.02)]
)
def test_a_step_costs_no_more_than_it_did(layer, flops, megabytes):
    found = cost(layer)
    assert found[0] <= 1.02 * flops, found
    assert found[1] <= 1.02 * megabytes, found
