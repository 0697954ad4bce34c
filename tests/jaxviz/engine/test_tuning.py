"""The number of units in a call: searched by a pace, remembered, written down, used again."""

import json
from threading import Event

import pytest

from jaxviz.bundle import save
from jaxviz.engine import chunk_search, tuning
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.errors import ConfigError
from jaxviz.jobs.recipe import AtlasRecipe
from jaxviz.jobs.run import make_atlas
from jaxviz.presets import get_preset
from tests.support.tiny import tiny_bundle


def plenty(pace):
    return 1e9


@pytest.mark.parametrize("guess", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("best", [1, 2, 4, 8, 16])
def test_the_search_finds_the_fastest_from_anywhere(best, guess):
    asked = []

    def pace(units):
        asked.append(units)
        return 1 + abs(units.bit_length() - best.bit_length())

    assert chunk_search.search(guess, 16, pace, plenty) == (best, True)
    assert len(asked) == len(set(asked)) <= 6


def test_without_time_the_guess_stays_and_nothing_else_is_measured():
    asked = []
    found = chunk_search.search(4, 16, lambda units: asked.append(units) or 1.0, lambda pace: 0.0)
    assert found == (4, False)
    assert asked == [4]


def test_what_another_size_takes_to_compile_is_counted():
    asked = []
    found = chunk_search.search(
        4, 16, lambda n: asked.append(n) or 1.0, lambda pace: 60.0, each=61.0
    )
    assert found == (4, False)
    assert asked == [4]


def test_noise_moves_nothing():
    paces = {1: 1.0, 2: 0.99, 4: 0.98}
    assert chunk_search.search(1, 4, paces.__getitem__, plenty).chunk == 1


def test_one_measurement_that_was_held_up_does_not_decide():
    rested = {1: 1.3, 2: 1.2, 4: 1.0, 8: 1.3}
    held_up = {**rested, 4: 2.0}
    assert chunk_search.search(4, 8, held_up.__getitem__, plenty).chunk == 2
    assert chunk_search.search(4, 8, held_up.__getitem__, plenty, rested.__getitem__) == (4, True)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"chunk": "4"}', '{"chunk": 0}', '{"chunk": 99}']
)
def test_a_damaged_memory_is_none(text, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    memory = tuning.Memory({"layer": "a"})
    assert memory.recall() is None
    memory.keep(8)
    assert memory.recall() == 8
    assert tuning.Memory({"layer": "b"}).recall() is None
    memory.path.write_text(text)
    assert memory.recall() is None


@pytest.fixture
def tuned(tmp_path, monkeypatch):
    """Tuning on, with a clock of its own by which calls of two are the fastest."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JAXVIZ_TUNING", "on")
    asked = []

    def pace(programs, lanes, chunk, lasting=0.1):
        asked.append(chunk)
        return abs(chunk - 2) + 1e9

    monkeypatch.setattr(tuning, "measure_pace", pace)
    monkeypatch.setattr(chunk_search, "GAIN", 0.0)
    monkeypatch.setattr(chunk_search, "MOST", 4)
    return asked


def test_what_was_found_is_remembered_and_a_given_chunk_is_not_touched(tuned):
    bundle, preset = tiny_bundle(), get_preset("keras-io")
    for number in range(2):
        renderer = LayerRenderer.for_layer(bundle, "conv2", preset, size=20)
        one_lane = renderer.with_execution(renderer.execution.changed(lanes=1))
        assert one_lane.settled(10).execution.chunk == 2
        if number == 0:
            measured = len(tuned)
            assert measured
    assert len(tuned) == measured
    renderer = LayerRenderer.for_layer(bundle, "conv2", preset, size=20, chunk=3)
    assert renderer.settled(10).execution.chunk == 3


def always(seconds, asked):
    """A clock by which every size takes so long."""
    return lambda programs, lanes, chunk, lasting=0.1: asked.append(chunk) or seconds


def test_a_layer_that_a_search_cannot_pay_for_is_not_searched(tuned, monkeypatch):
    monkeypatch.setattr(tuning, "measure_pace", always(1e-9, tuned))
    renderer = LayerRenderer.for_layer(tiny_bundle(), "conv2", get_preset("keras-io"), size=20)
    guess = tuning.likely_chunk(renderer.programs, renderer.execution, 10)
    assert tuned == [renderer.settled(10).execution.chunk] == [guess]
    assert tuning.likely_chunk(renderer.programs, renderer.execution, 10) == guess


def test_a_step_that_was_compiled_ahead_took_its_time_all_the_same(tuned, monkeypatch):
    monkeypatch.setattr(tuning, "measure_pace", always(1e-3, tuned))
    renderer = LayerRenderer.for_layer(tiny_bundle(), "conv2", get_preset("keras-io"), size=20)
    compiled = renderer.compiled(10, Event())
    assert compiled.programs.step_compile_seconds > 0
    compiled.programs.step_compile_seconds = 60.0  # as long as a hundred such searches may
    guess = compiled.execution.chunk
    assert (compiled.settled(10).execution.chunk, tuned) == (guess, [guess])


def test_an_atlas_says_what_it_was_made_with_and_goes_on_so(tuned, tmp_path, monkeypatch):
    model = save(tiny_bundle(), tmp_path / "tiny.bundle")
    recipe = AtlasRecipe(
        model=str(model),
        output=str(tmp_path / "a"),
        layers=("conv2",),
        preset="keras-io",
        steps=1,
        size=20,
        range="0:1",
    )

    def plan():
        make_atlas(recipe)
        manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
        return manifest["layers"][0]["plan"]

    first = plan()
    assert first["compute"]["chunk"] == 2
    monkeypatch.setenv("JAXVIZ_TUNING", "off")
    assert plan() == first


def test_a_wrong_setting_is_named(monkeypatch):
    monkeypatch.setenv("JAXVIZ_TUNING", "maybe")
    with pytest.raises(ConfigError, match="JAXVIZ_TUNING"):
        LayerRenderer.for_layer(tiny_bundle(), "conv1", get_preset("keras-io"))


def test_the_real_clock_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("JAXVIZ_TUNING", "on")
    renderer = LayerRenderer.for_layer(tiny_bundle(), "conv1", get_preset("keras-io"), size=16)
    ready = renderer.settled(6)
    assert 1 <= ready.execution.chunk <= 6
    assert ready.execution.tuned
    assert not renderer.execution.tuned  # nothing changes a renderer
    assert ready.render([0, 1], seed=0).raw.shape[0] == 2
