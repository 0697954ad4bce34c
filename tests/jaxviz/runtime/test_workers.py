"""Lanes work side by side, and end together."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxviz
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.presets import get_preset
from jaxviz.runtime.workers import CompiledOnce, side_by_side
from tests.support.tiny import tiny_bundle


def test_items_are_worked_on_at_the_same_time():
    both_there = threading.Barrier(2, timeout=10)

    def meet(item, ending):
        both_there.wait()
        return item * 2

    assert side_by_side(meet, [1, 2]) == [2, 4]


def test_what_one_raises_ends_the_others():
    def work(item, ending):
        if item:
            raise ValueError("broken")
        assert ending.wait(10)

    with pytest.raises(ValueError, match="broken"):
        side_by_side(work, [0, 1])


def test_several_threads_compile_once():
    traced = []

    def function(x):
        traced.append(1)
        return x + 1

    once = CompiledOnce(jax.jit(function))
    results = side_by_side(lambda x, ending: once(x), [jnp.ones(3)] * 4)
    assert len(traced) == 1
    np.testing.assert_array_equal(results, np.full((4, 3), 2.0))


@pytest.mark.parametrize("lanes", [2, 3])
def test_a_unit_does_not_depend_on_the_lanes(lanes):
    bundle = tiny_bundle()
    preset = get_preset("keras-io").override(steps=3)

    def images(count):
        renderer = LayerRenderer.for_layer(bundle, "conv2", preset, size=20, chunk=2)
        renderer = renderer.with_execution(renderer.execution.changed(lanes=count))
        found = renderer.render(range(7), seed=3)
        assert renderer.programs.traces["step"] == 1
        return found.raw

    np.testing.assert_allclose(images(lanes), images(1), rtol=1e-4, atol=1e-5)


def test_a_unit_is_where_it_was_asked_for():
    bundle = tiny_bundle()
    settings = {"preset": "keras-io", "size": 20, "steps": 2, "chunk": 1}
    all_units = jaxviz.render(bundle, "conv2", **settings)
    assert all_units.channels.tolist() == list(range(10))
    one = jaxviz.render(bundle, "conv2", [6], **settings)
    np.testing.assert_allclose(one.raw[0], all_units.raw[6], rtol=1e-4, atol=1e-5)
