"""Atlases made by an earlier version open, and half-finished ones continue to the same pictures."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import jaxviz
from jaxviz.atlas.columns import COLUMNS
from jaxviz.engine.tuning import machine
from jaxviz.jobs.recipe import read_recipes
from jaxviz.jobs.run import make_atlas
from jaxviz.status import UnitStatus

OLD = Path(__file__).parents[2] / "data" / "atlases"
FINISHED = ("finished.atlas", "presets-finished.atlas")
HALVES = ("half.atlas", "presets-half.atlas")
#: For each half-finished atlas the units that it holds, by layer.
COMMITTED = (
    {"conv1": 8, "conv2": 4, "conv3": 0},
    {"conv3 · keras-io": 32, "conv3 · robust": 0},
)
MOST_GREY_LEVELS, SCORE_TOLERANCE = 1, 1e-4


def contents(path):
    """Every array of an atlas, by layer and column."""
    layers = jaxviz.open_atlas(path).items()
    return {(name, c.name): read(layer, c.name) for name, layer in layers for c in COLUMNS}


def read(layer, column):
    if column in ("image", "status"):
        return layer.images if column == "image" else layer.status
    return layer.values(column)


def same_machine():
    """Whether this machine rounds as the one that made the atlases."""
    made_on = json.loads((OLD / "processor.txt").read_text())
    instructions = made_on.pop("instructions")
    return made_on == machine() and instructions == vector_instructions()


def vector_instructions():
    file = Path("/proc/cpuinfo")
    flags = file.read_text().partition("flags")[2].partition("\n")[0] if file.exists() else ""
    return " ".join(sorted(f for f in flags.split() if f.startswith(("avx", "fma", "amx"))))


@pytest.mark.parametrize("name", FINISHED)
def test_a_finished_atlas_opens_and_every_array_is_read(name):
    path = OLD / name
    for layer in jaxviz.open_atlas(path).values():
        assert layer.images.shape == (layer.plan.units, layer.plan.height, layer.plan.width, 1)
        assert layer.images.std() > 0
    for (layer, column), array in contents(path).items():
        assert len(array) == jaxviz.open_atlas(path)[layer].plan.units
        if column == "status":
            assert set(array) <= {status for status in UnitStatus if status.final}
        if column in ("score", "initial"):
            assert np.isfinite(array).all()


@pytest.mark.parametrize("table", [0, 1], ids=HALVES)
def test_a_half_finished_atlas_continues_to_the_same_arrays(table, tmp_path):
    copy = tmp_path / HALVES[table]
    shutil.copytree(OLD / HALVES[table], copy)
    before, expected = contents(copy), contents(OLD / FINISHED[table])
    final = {name: before[name, "status"] != UnitStatus.PENDING for name in COMMITTED[table]}
    assert {name: units.sum() for name, units in final.items()} == COMMITTED[table]

    recipe = read_recipes(OLD / "recipe.toml")[table]
    make_atlas(recipe.model_copy(update={"output": str(copy)}))

    found, exact = contents(copy), same_machine()
    assert found.keys() == expected.keys()
    for (layer, column), array in found.items():
        kept = final[layer]
        assert array[kept].tobytes() == before[layer, column][kept].tobytes(), (layer, column)
        check(array, expected[layer, column], (layer, column), exact=exact)
    assert (copy / "index.html").exists()
    assert len(list((copy / "sheets").iterdir())) == len(COMMITTED[table])


def check(found, expected, where, *, exact):
    assert found.dtype == expected.dtype, where
    if exact:
        assert found.tobytes() == expected.tobytes(), where
    elif where[1] == "image":
        apart = np.abs(found.astype(int) - expected.astype(int)).max()
        assert apart <= MOST_GREY_LEVELS, where
    elif where[1] == "score":
        np.testing.assert_allclose(found, expected, rtol=SCORE_TOLERANCE, err_msg=str(where))
    else:
        assert found.shape == expected.shape, where
