"""What the benchmarks ask of jaxviz works on a small network."""

import jax
import numpy as np
import pytest

from benchmarks import ceiling, exact
from benchmarks.peers.own import jaxviz as own
from jaxviz.bundle import save
from tests.support.tiny import tiny_bundle


@pytest.fixture
def network(tmp_path, monkeypatch):
    """A saved network in place of one of the benchmarks' own."""
    save(tiny_bundle(), tmp_path / "tiny.keras")
    for module in (exact, ceiling):
        monkeypatch.setattr(module, "CACHE", tmp_path)
    return tmp_path / "tiny.keras"


def test_the_own_peer_steps_every_image(network):
    images = np.random.default_rng(0).uniform(-0.1, 0.1, (4, 16, 16, 3)).astype(np.float32)
    cell = {"model": network, "layer": "conv1", "size": 16, "preset": "keras-io", "candidates": []}
    parts = own(cell, images, np.arange(4), 0)
    assert parts.filters == 6
    assert parts.live(images, np.arange(4)).shape == (4,)
    state = parts.advance(None, 0, 1)
    assert parts.read(state).shape[1:] == (16, 16, 3)


def test_gradients_in_float32_are_those_in_float64(network):
    with jax.enable_x64(True):
        found = exact.of_cell("tiny", "conv1", 16, 3)
    assert found["jaxviz"]["median_error"] < 1e-5
    assert found["jaxviz"]["least_cosine"] == pytest.approx(1, abs=1e-6)


def test_a_fraction_of_the_machine(network):
    took = {"jaxviz": {"about": "1 lanes of 2", "milliseconds": [1.0]}}
    cell = {"network": "tiny", "layer": "conv1", "size": 16, "peers": took}
    found = ceiling.fractions(cell, products=1e12, memory=1e12)
    assert 0 < found["of_products"] < 1
    assert 0 < found["of_memory"] < 1
