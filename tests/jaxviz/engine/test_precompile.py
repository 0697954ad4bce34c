"""Programs compiled ahead are those that are called, and change nothing."""

from threading import Event

import jax
import numpy as np
import pytest

import jaxviz
from jaxviz.bundle import store as bundles
from jaxviz.engine.precompile import Precompiler, Upcoming
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.errors import ConfigError
from jaxviz.jobs import run
from jaxviz.jobs.recipe import AtlasRecipe
from jaxviz.presets import get_preset
from jaxviz.spec import InputRange
from tests.support.tiny import tiny_bundle

RANGE = InputRange(low=(0.0,), high=(1.0,))


@pytest.fixture
def compiled():
    """Names of the functions that are compiled, as they are."""
    names = []

    def listen(event, seconds, **about):
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(about["fun_name"])

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield names
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.parametrize("preset", ["keras-io", "robust"])
def test_what_was_compiled_ahead_is_not_compiled_again(preset, compiled):
    small = get_preset(preset).override(steps=3, rescue=False)
    renderer = LayerRenderer.for_layer(
        tiny_bundle(range_=RANGE), "conv2", small, size=24, measure=True
    )
    ready = renderer.compiled(10, Event())
    stages = [name for name in compiled if name in ("jit(run)", "jit(_responses)")]
    assert sorted(stages) == ["jit(_responses)", "jit(run)", "jit(run)", "jit(run)"]
    compiled.clear()
    ready.settled(10).render(range(10), seed=0)
    assert not {"jit(run)", "jit(_responses)"} & set(compiled)


def test_an_atlas_is_the_same(tmp_path, monkeypatch):
    model = str(bundles.save(tiny_bundle(range_=RANGE), tmp_path / "tiny.bundle"))
    made = []
    for threads in (0, 2):
        monkeypatch.setattr(run, "spare_threads", lambda lanes, threads=threads: threads)
        output = str(tmp_path / f"{threads}.atlas")
        run.make_atlas(
            AtlasRecipe(
                model=model, output=output, preset="keras-io", size=24, steps=3, chunk=2, seed=5
            )
        )
        made.append(jaxviz.open_atlas(output))
    for layer in made[0].layers:
        for name in ("images", "scores", "status"):
            one, other = (np.asarray(getattr(atlas[layer], name)) for atlas in made)
            np.testing.assert_array_equal(one, other)


def test_what_fails_ahead_fails_where_it_is_needed():
    class Broken:
        def compiled(self, units, ending):
            raise ConfigError("too large")

    layers = [Upcoming(Broken(), 1), Upcoming(Broken(), 1)]
    with Precompiler(layers, threads=1) as ahead:
        ahead.wait(layers[0].renderer)
        ahead.proceed()
        ahead.wait(layers[1].renderer)  # says nothing
