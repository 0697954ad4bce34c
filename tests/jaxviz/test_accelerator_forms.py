"""What a TPU's forms of ReLU and pooling give is what the direct ones give."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxviz.model.graph import run
from jaxviz.model.lowerings import choose_forms
from jaxviz.model.ops.registry import KEPT, MOVED_DIRECT
from jaxviz.program import _compact
from tests.jaxviz.tiny import tiny_bundle


def test_values_and_gradients_are_those_of_the_direct_forms():
    bundle = tiny_bundle()
    shapes = bundle.spec.shapes((16, 16, 3), targets=["norm"])
    forms = choose_forms(bundle.spec, ["norm"], "tpu", shapes, "bfloat16")
    assert set(forms.values()) == {KEPT, MOVED_DIRECT}
    with jax.enable_x64(True):
        weights = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), dict(bundle.weights))
        image = jnp.asarray(np.random.default_rng(0).normal(size=(2, 16, 16, 3)))

        def made(forms):
            def of(x):
                return run(bundle.spec, weights, {"image": x}, ["norm"], forms)["norm"]

            value, back = jax.vjp(of, image)
            return value, back(jnp.cos(jnp.arange(value.size)).reshape(value.shape))[0]

        for found, expected in zip(made(forms), made({}), strict=True):
            assert np.abs(expected).max() > 0
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_a_relu_of_many_channels_stays_with_the_compiler():
    spec = tiny_bundle().spec
    shapes = spec.shapes((16, 16, 3), targets=["norm"])
    wide = {name: (*shape[:-1], 65) for name, shape in shapes.items()}
    assert KEPT not in choose_forms(spec, ["norm"], "tpu", wide, "bfloat16").values()


def test_the_order_in_memory_changes_no_number():
    for units in (4, 128):
        array = jax.random.normal(jax.random.key(0), (units, 9, 10, 3))
        np.testing.assert_array_equal(jax.jit(_compact)(array), array)
    key = jax.random.split(jax.random.key(0), 4)
    assert jax.jit(_compact)(key).shape == (4,)
