"""bfloat16 is judged against what the platform's own float32 is worth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxviz
from jaxviz.engine.precision import compare
from jaxviz.engine.program_cache import narrowed
from jaxviz.imaging.ranges import ValueRange
from jaxviz.model.dispatch import prepare_weights
from jaxviz.objectives import Network
from jaxviz.runtime import execution
from jaxviz.runtime.execution import Fidelity
from tests.support.rounding import as_on_a_tpu

SIDE = 32


@pytest.fixture(scope="module")
def galaxy():
    return jaxviz.load_bundle(jaxviz.example("galaxy_cnn.keras"))


@pytest.fixture
def tpu(monkeypatch):
    """A platform that multiplies float32 in bfloat16, unless the highest precision is asked for."""
    monkeypatch.setattr("jaxviz.engine.precision.jax.jit", as_on_a_tpu)
    with jax.default_matmul_precision("default"):
        yield


def found(bundle, layer):
    wide = prepare_weights(bundle.spec, bundle.weights, {}, [layer])
    network = Network(bundle.spec, {}, (SIDE, SIDE, 3))
    return compare(network, wide, narrowed(wide), layer, ValueRange(0.0, 1.0, None))


def test_products_are_rounded_but_for_the_highest_precision(tpu):
    a, b = (jax.random.normal(jax.random.key(n), (8, 8)) for n in (0, 1))
    narrow = a.astype(jnp.bfloat16).astype(jnp.float32) @ b.astype(jnp.bfloat16).astype(jnp.float32)
    np.testing.assert_allclose(as_on_a_tpu(jnp.matmul)(a, b), narrow, rtol=1e-5, atol=1e-5)
    with jax.default_matmul_precision("highest"):
        exact = as_on_a_tpu(lambda a, b: a @ b)(a, b)
    expected = np.asarray(a, np.float64) @ np.asarray(b, np.float64)
    np.testing.assert_allclose(exact, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(narrow - expected).max() > 1e-3


def test_near_enough_bfloat16_is_compared_with_nothing_else(galaxy, tpu):
    near = found(galaxy, "conv2")
    assert near.close
    assert near.own is None


def test_two_roundings_are_at_most_twice_as_far_as_one(galaxy, tpu, monkeypatch):
    monkeypatch.setattr(execution, "LEAST_COSINE", 1.0)
    for layer in ("conv2", "conv3"):
        far = found(galaxy, layer)
        assert far.own is not None
        assert far.cosine < far.own < 0.9999  # not exact, as it is on a CPU
        assert far.close


def test_where_float32_is_exact_the_cosine_alone_decides(galaxy, monkeypatch):
    monkeypatch.setattr(execution, "LEAST_COSINE", 1.0)
    far = found(galaxy, "conv3")
    assert far.own == pytest.approx(1)
    assert not far.close


def test_what_is_close():
    assert Fidelity(cosine=0.9, score=0.0, units=16).close
    assert not Fidelity(cosine=0.85, score=0.0, units=16).close
    assert not Fidelity(cosine=0.85, score=0.0, units=16, own=0.95).close
    assert Fidelity(cosine=0.85, score=0.0, units=16, own=0.92).close
    assert "0.8500, for this platform's own float32 0.9200" in str(
        Fidelity(cosine=0.85, score=0.0, units=16, own=0.92)
    )
