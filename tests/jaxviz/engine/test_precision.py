"""bfloat16: the network alone is narrow, and close enough to float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxviz
from jaxviz.engine.choose import preferred_dtype
from jaxviz.engine.precision import fidelity
from jaxviz.engine.program_cache import narrowed
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.model.dispatch import prepare_weights
from jaxviz.objectives import Activations, Network
from jaxviz.presets import get_preset
from tests.support.tiny import tiny_bundle

SIDE = 32


@pytest.fixture(scope="module")
def galaxy():
    return jaxviz.load_bundle(jaxviz.example("galaxy_cnn.keras"))


def slopes(bundle, layer, dtype, images):
    """[unit] value and [unit, …] gradient of each channel's mean, of an image each."""
    params = prepare_weights(bundle.spec, bundle.weights, {}, [layer])
    params = narrowed(params) if dtype == "bfloat16" else params
    network = Network(bundle.spec, {}, images.shape[1:], dtype)

    def value(image, channel):
        seen = Activations(network, params, image, image, None, layer, channel)
        return jnp.mean(seen.channel()) + jnp.mean(seen.layer())

    both = jax.vmap(jax.value_and_grad(value))(images, jnp.arange(len(images)))
    assert all(x.dtype == jnp.float32 for x in both)
    return tuple(np.asarray(x) for x in both)


@pytest.mark.parametrize("layer", ["conv1", "conv2", pytest.param("conv3", marks=pytest.mark.slow)])
def test_a_network_in_bfloat16_gives_nearly_the_gradient_of_float32(galaxy, layer):
    images = jax.random.uniform(jax.random.key(0), (6, SIDE, SIDE, 3))
    found = fidelity(*(slopes(galaxy, layer, dtype, images) for dtype in ("float32", "bfloat16")))
    assert found.units >= 4
    assert found.cosine > 0.95
    assert found.score < 0.02
    assert found.close


def test_every_result_within_the_network_is_narrow():
    bundle = tiny_bundle()
    network = Network(bundle.spec, {}, (16, 16, 3), "bfloat16")
    params = narrowed(bundle.weights)
    text = str(jax.make_jaxpr(lambda x: network.run(params, x, ["norm"]))(jnp.ones((1, 16, 16, 3))))
    convolutions = [line for line in text.splitlines() if "conv_general_dilated[" in line]
    assert len(convolutions) == 2
    assert all(":bf16[" in line for line in convolutions)


def test_only_kernels_are_narrowed():
    found = narrowed(tiny_bundle().weights)
    assert found["conv1"]["kernel"].dtype == jnp.bfloat16
    assert {a.dtype.name for a in found["norm"].values()} == {"float32"}
    assert found["conv1"]["bias"].dtype == jnp.float32


@pytest.mark.parametrize("preset", ["keras-io", "robust"])
def test_pictures_are_made_in_bfloat16_of_a_float32_latent(galaxy, preset):
    chosen = get_preset(preset).override(steps=3, rescue=False)
    renderer = LayerRenderer.for_layer(
        galaxy, "conv2", chosen, size=SIDE, chunk=4, dtype="bfloat16"
    )
    wide = LayerRenderer.for_layer(galaxy, "conv2", chosen, size=SIDE, chunk=4, dtype="float32")
    made, expected = renderer.render(range(4), 0), wide.render(range(4), 0)
    assert made.raw.dtype == np.float32
    np.testing.assert_array_equal(made.status, expected.status)
    np.testing.assert_allclose(made.initial_scores, expected.initial_scores, rtol=0.02, atol=1e-4)
    live = expected.scores > 0
    assert (made.scores[live] > made.initial_scores[live]).all()
    assert not np.array_equal(made.scores, expected.scores)


def test_accelerators_prefer_bfloat16_and_a_cpu_float32():
    assert preferred_dtype("auto", "cpu") == preferred_dtype("float32", "tpu") == "float32"
    assert preferred_dtype("auto", "tpu") == preferred_dtype("bfloat16", "cpu") == "bfloat16"


def test_gradients_in_another_direction_are_not_close():
    gradient = np.random.default_rng(0).normal(size=(8, 5, 5, 3))
    value = np.arange(1.0, 9.0)
    assert not fidelity((value, gradient), (value, gradient[::-1])).close
    found = fidelity((value, gradient), (value * 1.5, gradient * 2))
    assert found.close
    assert found.score == pytest.approx(0.5)
    gradient[:] = 0
    assert fidelity((value, gradient), (value, gradient)).units == 0
