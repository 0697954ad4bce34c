"""An atlas loses no work: killed, interrupted, refused, repeated."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import jaxviz
from jaxviz.bundle import store as bundles
from jaxviz.engine.program_cache import ProgramCache
from jaxviz.errors import AtlasLockedError, AtlasMismatchError, ImageSizeError, LayerError
from jaxviz.jobs import prepare, run
from jaxviz.jobs.recipe import AtlasRecipe
from jaxviz.jobs.report import Reporter
from jaxviz.jobs.run import make_atlas
from jaxviz.presets import DEFAULT_PRESET
from jaxviz.spec import InputRange
from tests.support.tiny import tiny_bundle

SETTINGS = {"preset": "keras-io", "size": 24, "steps": 3, "chunk": 2, "seed": 5}


@pytest.fixture
def model(tmp_path):
    range_ = InputRange(low=(0.0,), high=(1.0,))
    return str(bundles.save(tiny_bundle(range_=range_), tmp_path / "tiny.bundle"))


@pytest.fixture
def recipe(model, tmp_path):
    return AtlasRecipe(model=model, output=str(tmp_path / "tiny.atlas"), **SETTINGS)


def contents(path):
    atlas = jaxviz.open_atlas(path)
    names = ("images", "scores", "initial_scores", "status")
    return {
        (layer, n): np.asarray(getattr(atlas[layer], n)) for layer in atlas.layers for n in names
    }


def assert_same(one, two):
    assert one.keys() == two.keys()
    for key, array in one.items():
        np.testing.assert_array_equal(array, two[key], err_msg=str(key))


def test_in_how_many_pieces_a_layer_is_made_changes_nothing(recipe, tmp_path, monkeypatch):
    make_atlas(recipe)
    whole = contents(recipe.output)
    monkeypatch.setattr(prepare, "PIECE_UNITS", 4)
    monkeypatch.setattr(prepare, "PIECE_GFLOP", 0.0)
    pieces = str(tmp_path / "pieces.atlas")
    make_atlas(recipe.model_copy(update={"output": pieces}))
    assert_same(whole, contents(pieces))
    sizes = [
        [layer.plan.piece_units for layer in jaxviz.open_atlas(path).manifest.layers]
        for path in (recipe.output, pieces)
    ]
    lanes = run.prepare(recipe).renderers[0].execution.lanes
    assert sizes[1] == [2 * lanes * max(1, 4 // (2 * lanes))] * len(sizes[1])
    assert sizes[0] != sizes[1]


def test_a_finished_layer_is_given_up_and_can_be_made_again(recipe, monkeypatch):
    jobs, caches, real, make = [], [], run.prepare, ProgramCache.__init__
    monkeypatch.setattr(
        ProgramCache, "__init__", lambda self, *given: caches.append(self) or make(self, *given)
    )
    monkeypatch.setattr(run, "prepare", lambda recipe: jobs.append(real(recipe)) or jobs[-1])
    make_atlas(recipe)
    held = contents(recipe.output)
    worked = [cache for cache in caches if cache.traces["step"]]
    assert len(worked) == len(jobs[0].renderers)
    assert all(cache.released for cache in caches)
    for renderer in jobs[0].renderers:
        again = renderer.render(range(renderer.setup.units), recipe.seed)
        np.testing.assert_array_equal(held[renderer.setup.layer, "scores"], again.scores)


def test_the_atlas_holds_what_render_gives(recipe, model):
    report = make_atlas(recipe)
    assert [(r.layer, r.units, r.failed) for r in report.layers] == [
        ("conv1", 6, 0),
        ("conv2", 10, 0),
    ]
    result = jaxviz.render(
        jaxviz.load(model), "conv2", preset="keras-io", size=24, steps=3, seed=5, chunk=2
    )
    held = contents(recipe.output)
    np.testing.assert_array_equal(held["conv2", "scores"], result.scores)
    np.testing.assert_array_equal(held["conv2", "initial_scores"], result.initial_scores)
    np.testing.assert_array_equal(held["conv2", "status"], result.status)
    np.testing.assert_allclose(held["conv2", "images"] / 255, result.images, atol=1 / 255)


def test_a_finished_atlas_is_left_alone(recipe):
    make_atlas(recipe)
    before = contents(recipe.output)
    units = []

    class Counting(Reporter):
        def units(self, count):
            units.append(count)

    make_atlas(recipe, Counting())
    assert units == []
    assert_same(before, contents(recipe.output))


class Interrupting(Reporter):
    """Stops after a number of units, as Ctrl-C does."""

    def __init__(self, after):
        self.left = after

    def units(self, count):
        self.left -= count
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [0, 5, 9])
def test_an_interrupted_run_continues_to_the_same_pictures(recipe, tmp_path, after):
    whole = recipe.model_copy(update={"output": str(tmp_path / "whole.atlas")})
    make_atlas(whole)
    with pytest.raises(KeyboardInterrupt):
        make_atlas(recipe, Interrupting(after))
    # Another chunk is asked for; the one that the layer was begun with is kept.
    make_atlas(recipe.model_copy(update={"chunk": 3}))
    assert_same(contents(whole.output), contents(recipe.output))


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"seed": 6}, r"seed.*5.*6"),
        ({"steps": 4}, r"steps.*3.*4"),
        ({"size": 25}, r"24.*25"),
        ({"channels": "0:4"}, "channels"),
        ({"range": "0:255"}, r"range.*1.*255"),
        ({"learning_rate": 1.0}, r"learning_rate.*10.*1"),
    ],
)
def test_a_folder_of_something_else_is_refused(recipe, change, difference):
    make_atlas(recipe)
    before = contents(recipe.output)
    with pytest.raises(AtlasMismatchError, match=difference):
        make_atlas(recipe.model_copy(update=change))
    assert_same(before, contents(recipe.output))


def test_another_model_of_the_same_shape_is_refused(recipe, tmp_path):
    make_atlas(recipe)
    other = bundles.save(tiny_bundle(seed=1), tmp_path / "other.bundle")
    with pytest.raises(AtlasMismatchError, match="sha256"):
        make_atlas(recipe.model_copy(update={"model": str(other), "range": "0:1"}))


def test_nothing_is_written_when_the_settings_do_not_fit(recipe):
    for change, error in (
        ({"layers": ("conv9",)}, LayerError),
        ({"channels": "90:99"}, LayerError),
        ({"size": 1}, ImageSizeError),
    ):
        with pytest.raises(error):
            make_atlas(recipe.model_copy(update=change))
    assert not os.path.exists(recipe.output)


def test_the_default_preset_continues_to_the_same_pictures_bit_for_bit(recipe, tmp_path):
    settings = {"preset": DEFAULT_PRESET, "steps": 5, "size": 24, "layers": ("conv1",)}
    recipe = recipe.model_copy(update=settings)
    whole = recipe.model_copy(update={"output": str(tmp_path / "whole.atlas")})
    make_atlas(whole)
    with pytest.raises(KeyboardInterrupt):
        make_atlas(recipe, Interrupting(3))
    make_atlas(recipe)
    assert_same(contents(whole.output), contents(recipe.output))


def command(recipe, *more):
    settings = [
        "--preset",
        recipe.preset,
        "--steps",
        str(recipe.steps),
        "--chunk",
        "2",
        "--seed",
        "5",
    ]
    size = ["--size", str(recipe.size)]
    return [
        sys.executable,
        "-m",
        "jaxviz",
        "atlas",
        recipe.model,
        "-o",
        recipe.output,
        *settings,
        *size,
        *more,
    ]


def status_files(path):
    return len(list(path.glob("layers/*/status/c/*"))) if path.exists() else 0


def start_until_working(recipe, chunks, tmp_path):
    """A run in a process of its own that has committed at least so many chunks."""
    process = subprocess.Popen(
        command(recipe), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while status_files(tmp_path / "tiny.atlas") < chunks and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process


@pytest.fixture
def long_recipe(recipe):
    return recipe.model_copy(update={"steps": 40, "size": 48})


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.slow)], ids=["loop", "own"])
def killed_recipe(long_recipe, request):
    """With the published loop, and with the default preset."""
    return long_recipe.model_copy(update={"preset": DEFAULT_PRESET} if request.param else {})


def test_killed_at_any_moment_and_run_again(killed_recipe, tmp_path):
    long_recipe = killed_recipe
    whole = long_recipe.model_copy(update={"output": str(tmp_path / "whole.atlas")})
    make_atlas(whole)
    rng = np.random.default_rng(0)
    for chunks in (0, 1):
        process = start_until_working(long_recipe, chunks, tmp_path)
        time.sleep(rng.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
    finished = subprocess.run(
        command(long_recipe, "--json"), check=True, capture_output=True, text=True
    )
    rows = [json.loads(line) for line in finished.stdout.splitlines()]
    assert [row["layer"] for row in rows] == ["conv1", "conv2"]
    assert_same(contents(whole.output), contents(long_recipe.output))


def test_interrupt_says_how_to_continue(long_recipe, tmp_path):
    process = start_until_working(long_recipe.model_copy(update={"steps": 4000}), 0, tmp_path)
    while not (tmp_path / "tiny.atlas" / "manifest.json").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "run the command again to continue" in said
    assert "Traceback" not in said


def test_two_runs_at_once(recipe):
    class Second(Reporter):
        def layer(self, name):
            with pytest.raises(AtlasLockedError, match=r"tiny\.atlas"):
                make_atlas(recipe)

    make_atlas(recipe, Second())
