"""Making, continuing and refusing an atlas."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxviz.atlas import AtlasWriter, LayerPlan, UnitStatus, manifest_schema, open_atlas
from jaxviz.atlas.store import LayerStore
from jaxviz.errors import AtlasError, AtlasLockedError, AtlasMismatchError, LayerError
from jaxviz.runtime.execution import Execution
from tests.support.synthetic import IDENTITY, RECORD, make, plan, rendered


def writer(path: Path, layers=None, identity=None, **more) -> AtlasWriter:
    return AtlasWriter(
        path, identity=identity or IDENTITY, record=RECORD, layers=layers or [plan()], **more
    )


def present(counts: dict[str, int]) -> dict[str, int]:
    return {label: count for label, count in counts.items() if count}


def snapshot(path: Path) -> dict[str, tuple[bytes, int]]:
    files = (f for f in path.rglob("*") if f.is_file())
    return {str(f.relative_to(path)): (f.read_bytes(), f.stat().st_mtime_ns) for f in files}


def test_what_is_written_is_read(tmp_path):
    layers = [plan(), plan("outer/Inner", (3, 1, 40, 41, 9), depth=1)]
    make(tmp_path / "a.atlas", layers)
    atlas = open_atlas(tmp_path / "a.atlas")
    assert list(atlas) == ["conv1", "outer/Inner"]
    for layer in layers:
        expected = rendered(layer, range(layer.units))
        found = atlas[layer.name]
        np.testing.assert_array_equal(found.images, expected["images"])
        np.testing.assert_array_equal(found.scores, expected["score"])
        np.testing.assert_array_equal(found.initial_scores, expected["initial"])
        np.testing.assert_array_equal(found.status, expected["status"])
        np.testing.assert_array_equal(found.channels, layer.channels)
        np.testing.assert_array_equal(found.read_images(range(1, 3)), expected["images"][1:3])


def test_a_path_may_go_up_and_through_a_link(tmp_path, monkeypatch):
    (tmp_path / "one" / "two").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "one")
    monkeypatch.chdir(tmp_path / "one" / "two")
    make(Path("../a.atlas"), [plan()])
    make(Path("../../link/b.atlas"), [plan()])
    found = open_atlas(tmp_path / "link" / "a.atlas")["conv1"].images
    np.testing.assert_array_equal(open_atlas("../b.atlas")["conv1"].images, found)


def test_manifest_tells_counts_times_and_runs(tmp_path):
    path = tmp_path / "net.atlas"
    make(path, [plan(units=20)])
    manifest = open_atlas(path).manifest
    entry = manifest.layers[0]
    # Channels 4, 9, 14, 19 are dead; 6 and 13 failed.
    assert present(entry.counts) == {"done": 14, "dead": 4, "failed": 2}
    assert entry.seconds == 1.5
    assert manifest.title == "net"
    assert manifest.identity == IDENTITY
    assert [run.record for run in manifest.runs] == [RECORD]
    assert entry.drawn == 20


def test_manifest_is_valid_by_its_own_schema(tmp_path):
    make(tmp_path / "a", [plan()])
    document = json.loads((tmp_path / "a" / "manifest.json").read_bytes())
    schema = manifest_schema()
    assert set(document) == set(schema["properties"])
    assert str(tmp_path) not in json.dumps(document)


def test_pending_units_read_as_pending(tmp_path):
    with writer(tmp_path / "a") as atlas:
        assert atlas.pending("conv1") == [range(4), range(4, 8), range(8, 10)]
        atlas.write("conv1", range(4, 8), **rendered(plan(), range(4, 8)))
        assert atlas.pending("conv1") == [range(4), range(8, 10)]
    layer = open_atlas(tmp_path / "a")["conv1"]
    assert np.flatnonzero(layer.status).tolist() == [4, 5, 6, 7]
    assert np.isnan(layer.scores[[0, 9]]).all()
    assert open_atlas(tmp_path / "a").manifest.layers[0].counts["pending"] == 6


@settings(deadline=None)
@given(units=st.integers(1, 300), chunk=st.integers(1, 400))
def test_pieces_are_a_partition(units, chunk):
    layer = plan(units=units, chunk=chunk)
    assert [unit for part in layer.pieces() for unit in part] == list(range(units))
    assert all(len(part) == chunk for part in layer.pieces()[:-1])
    assert 1 <= len(layer.pieces()[-1]) <= chunk


def test_resume_does_only_what_is_missing(tmp_path):
    with writer(tmp_path / "a") as atlas:
        atlas.write("conv1", range(4), **rendered(plan(), range(4)))
    before = (tmp_path / "a/layers/conv1/image/c/0/0/0/0").stat().st_mtime_ns
    with writer(tmp_path / "a") as atlas:
        assert atlas.pending("conv1") == [range(4, 8), range(8, 10)]
    make(tmp_path / "a", [plan()])
    assert (tmp_path / "a/layers/conv1/image/c/0/0/0/0").stat().st_mtime_ns == before
    make(tmp_path / "b", [plan()])
    for name in ("images", "scores", "initial_scores", "status"):
        np.testing.assert_array_equal(
            getattr(open_atlas(tmp_path / "a")["conv1"], name),
            getattr(open_atlas(tmp_path / "b")["conv1"], name),
        )


def test_resume_keeps_the_first_runs_pieces_and_settings(tmp_path):
    with writer(
        tmp_path / "a",
        [plan(chunk=4, compute=Execution(chunk=8, implementations={"conv1": "patches"}))],
    ):
        pass
    with writer(tmp_path / "a", [plan(chunk=5, compute=Execution(chunk=16))]) as atlas:
        assert atlas.layers[0].piece_units == 4
        kept = Execution(chunk=8, implementations={"conv1": "patches"})
        assert atlas.layers[0].compute == kept


def test_every_run_that_wrote_is_on_record(tmp_path):
    for device, units in (("cpu", range(4)), ("gpu", range(4, 8)), ("idle", None)):
        with AtlasWriter(
            tmp_path / "a", identity=IDENTITY, record={"device": device}, layers=[plan()]
        ) as atlas:
            if units:
                atlas.write("conv1", units, **rendered(plan(), units))
    runs = open_atlas(tmp_path / "a").manifest.runs
    assert [run.record["device"] for run in runs] == ["cpu", "gpu"]


def test_another_identity_is_refused_and_nothing_touched(tmp_path):
    make(tmp_path / "a", [plan()])
    before = snapshot(tmp_path / "a")
    other = {"model": {"name": "other", "sha256": "0" * 64}, "recipe": {"steps": 31}, "extra": 1}
    with pytest.raises(AtlasMismatchError) as caught:
        writer(tmp_path / "a", [plan(side=9), plan("conv2")], other)
    details = [" ".join(line.split()) for line in caught.value.details]
    assert details == [
        'model.name found "synthetic", asked "other"',
        "recipe.steps found 30, asked 31",
        "seed found 7, asked nothing",
        "extra found nothing, asked 1",
        "layers.conv1.height found 8, asked 9",
        "layers.conv1.width found 8, asked 9",
        "layers.conv2 found nothing, asked 10 units of 8x8x3",
    ]
    assert snapshot(tmp_path / "a") == before


def test_values_that_differ_late_differ(tmp_path):
    with writer(tmp_path / "a", identity={"recipe": "x" * 500 + "a"}):
        pass
    with pytest.raises(AtlasMismatchError, match="recipe"):
        writer(tmp_path / "a", identity={"recipe": "x" * 500 + "b"})


def test_tuples_and_lists_are_the_same_identity(tmp_path):
    for identity in ({"range": (0, 1)}, {"range": [0, 1]}):
        with writer(tmp_path / "a", identity=identity):
            pass


def test_a_folder_that_is_no_atlas_is_refused_and_not_touched(tmp_path):
    (tmp_path / "thesis.tex").write_text("do not touch")
    with pytest.raises(AtlasError, match=r"not an atlas(.|\n)*thesis\.tex"):
        writer(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(AtlasError, match="Not a directory"):
        writer(tmp_path / "a")


def test_an_empty_folder_is_taken(tmp_path):
    make(tmp_path, [plan()])
    assert len(open_atlas(tmp_path)) == 1


@pytest.mark.parametrize(
    "missing",
    [
        ["manifest.json", "zarr.json", "layers"],
        ["zarr.json", "layers"],
        ["layers"],
        ["layers/conv1/image"],
        ["layers/conv1/score", "layers/conv1/status"],
    ],
)
def test_a_half_made_atlas_is_made_whole(tmp_path, missing):
    with writer(tmp_path / "a"):
        pass
    for name in missing:
        place = tmp_path / "a" / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    (tmp_path / "a" / "manifest.json.partial").write_text("{ cut off")
    make(tmp_path / "a", [plan()])
    assert (open_atlas(tmp_path / "a")["conv1"].status != UnitStatus.PENDING).all()


def test_counts_come_from_the_status_not_from_a_stale_manifest(tmp_path):
    with writer(tmp_path / "a"):
        pass
    stale = (tmp_path / "a" / "manifest.json").read_bytes()
    make(tmp_path / "a", [plan()])
    (tmp_path / "a" / "manifest.json").write_bytes(stale)
    with writer(tmp_path / "a") as atlas:
        counts = present(atlas.manifest.layers[0].counts)
        assert counts == {"done": 7, "dead": 2, "failed": 1}


def test_two_at_once(tmp_path):
    with writer(tmp_path / "a"):
        with pytest.raises(AtlasLockedError, match=r"another run \(process \d+\)"):
            writer(tmp_path / "a")
    with writer(tmp_path / "a"):
        pass


def test_an_atlas_is_readable_while_it_is_made(tmp_path):
    with writer(tmp_path / "a") as atlas:
        atlas.write("conv1", range(4), **rendered(plan(), range(4)))
        assert (open_atlas(tmp_path / "a")["conv1"].status[:4] > 0).all()


def test_status_is_committed_last(tmp_path, monkeypatch):
    """When the status cannot be written, the units stay pending though their images are there."""
    real = LayerStore.open_array

    def broken(self, column, **more):
        if column.name == "status" and not more:
            raise OSError(28, "No space left on device")
        return real(self, column, **more)

    with writer(tmp_path / "a") as atlas:
        monkeypatch.setattr(LayerStore, "open_array", broken)
        with pytest.raises(AtlasError, match="No space left"):
            atlas.write("conv1", range(4), **rendered(plan(), range(4)))
        monkeypatch.undo()
        assert atlas.pending("conv1")[0] == range(4)
    layer = open_atlas(tmp_path / "a")["conv1"]
    np.testing.assert_array_equal(layer.images[:4], rendered(plan(), range(4))["images"])
    assert not layer.status.any()


def test_no_status_where_a_column_failed(tmp_path, monkeypatch):
    real = LayerStore.open_array

    def broken(self, column, **more):
        if column.name == "initial" and not more:
            raise OSError(28, "No space left on device")
        return real(self, column, **more)

    with writer(tmp_path / "a") as atlas:
        monkeypatch.setattr(LayerStore, "open_array", broken)
        with pytest.raises(AtlasError, match="No space left"):
            atlas.write("conv1", range(4), **rendered(plan(), range(4)))
        monkeypatch.undo()
    assert not open_atlas(tmp_path / "a")["conv1"].status.any()


def test_writes_that_do_not_fit_name_every_misfit(tmp_path):
    good = rendered(plan(), range(4))
    with writer(tmp_path / "a") as atlas:
        bad = {**good, "images": good["images"][:, :7], "status": [0, 1, 2, 3], "gane": [1]}
        bad.pop("initial")
        with pytest.raises(AtlasError) as caught:
            atlas.write("conv1", range(5), **bad)
        assert [line.split(":")[0] for line in caught.value.details] == [
            "gane",
            "units 0",
            "image",
            "score",
            "initial",
            "status",
        ]
        with pytest.raises(AtlasError, match="float64"):
            atlas.write("conv1", range(4), **{**good, "images": good["images"] / 255})
        with pytest.raises(LayerError, match="Did you mean conv1"):
            atlas.pending("cnv1")


def test_a_layer_planned_twice_is_refused(tmp_path):
    with pytest.raises(AtlasError, match="'conv1'"):
        writer(tmp_path / "a", [plan(), plan()])


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("manifest.json", b"", "damaged"),
        ("manifest.json", b'{"format": "jaxviz-atlas"', "damaged"),
        ("manifest.json", b"[" * 100_000, "damaged"),
        ("manifest.json", b"{}", "not the manifest"),
        ("manifest.json", b'{"format":"jaxviz-atlas","schema_version":2}', "schema version 2"),
        ("manifest.json", b'{"format":"jaxviz-atlas","schema_version":1}', "title: Field required"),
        ("zarr.json", b"{", "damaged"),
        ("layers/zarr.json", b"[]", "damaged"),
        ("layers/conv1/zarr.json", b'{"zarr_format": 2}', "damaged"),
        ("layers/conv1/score/zarr.json", b"{", "score"),
        ("layers/conv1/status/zarr.json", b"", "status"),
    ],
)
def test_damage_is_named_and_left_alone(tmp_path, file, content, message):
    make(tmp_path / "a", [plan()])
    (tmp_path / "a" / file).write_bytes(content)
    with pytest.raises(AtlasError, match=message) as caught:
        writer(tmp_path / "a")
    assert str(Path.cwd()) not in str(caught.value)
    assert (tmp_path / "a" / file).read_bytes() == content


def test_an_array_of_another_shape_is_damage(tmp_path):
    make(tmp_path / "a", [plan()])
    file = tmp_path / "a/layers/conv1/score/zarr.json"
    document = json.loads(file.read_text())
    document["shape"] = [11]
    file.write_text(json.dumps(document))
    with pytest.raises(AtlasError, match="score"):
        writer(tmp_path / "a")


def test_a_damaged_chunk_is_found_by_its_checksum(tmp_path):
    make(tmp_path / "a", [plan()])
    file = tmp_path / "a/layers/conv1/image/c/1/0/0/0"
    content = bytearray(file.read_bytes())
    content[40] ^= 1
    file.write_bytes(content)
    with pytest.raises(AtlasError, match="'image'"):
        _ = open_atlas(tmp_path / "a")["conv1"].images


def test_a_manifest_may_not_point_elsewhere(tmp_path):
    make(tmp_path / "a", [plan()])
    file = tmp_path / "a/manifest.json"
    file.write_text(file.read_text().replace('"key": "conv1"', '"key": "../../elsewhere"'))
    with pytest.raises(AtlasError, match="key"):
        open_atlas(tmp_path / "a")


def test_opening_what_is_no_atlas(tmp_path):
    with pytest.raises(AtlasError, match="no such atlas"):
        open_atlas(tmp_path / "none")
    with pytest.raises(AtlasError, match="not an atlas"):
        open_atlas(tmp_path)
    make(tmp_path / "a", [plan()])
    with pytest.raises(LayerError, match="Did you mean conv1"):
        open_atlas(tmp_path / "a")["conv_1"]


# Each is unlike the others only where some file system folds, splits or reserves names.
NAMES = [
    "A",
    "a",
    "outer",
    "outer/image",
    "..",
    "con",
    "LPT1",
    "層",
    "a" * 400,
    "x\ny",
    "%41",
    "zarr.json",
]


def test_hostile_names_stay_apart_and_inside(tmp_path):
    make(tmp_path / "a", [plan(name, units=3) for name in NAMES])
    atlas = open_atlas(tmp_path / "a")
    for name in NAMES:
        expected = rendered(plan(name, units=3), range(3))
        np.testing.assert_array_equal(atlas[name].images, expected["images"])
    folders = [p.name for p in (tmp_path / "a" / "layers").iterdir() if p.is_dir()]
    assert len({name.lower() for name in folders}) == len(NAMES)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert len(list((tmp_path / "a" / "sheets").iterdir())) == len(NAMES)


@settings(deadline=None)
@given(name=st.text(min_size=1))
def test_any_name_survives_the_manifest(name):
    try:
        layer = LayerPlan(name=name, channels=(0,), height=1, width=1, depth=1)
    except ValueError:  # half of a surrogate pair is no text
        assert any(0xD800 <= ord(c) < 0xE000 for c in name)
        return
    assert LayerPlan.model_validate_json(layer.model_dump_json()) == layer


def test_finishing_again_draws_nothing(tmp_path):
    make(tmp_path / "a", [plan()])
    sheet = tmp_path / "a/sheets/conv1.png"
    before = sheet.stat().st_mtime_ns
    make(tmp_path / "a", [plan()])
    assert sheet.stat().st_mtime_ns == before
    for name in ("sheets", "tiles"):
        shutil.rmtree(tmp_path / "a" / name)
        make(tmp_path / "a", [plan()])
        assert [p.name.split(".")[0] for p in (tmp_path / "a" / name).iterdir()] == ["conv1"]


def test_the_synthetic_renderer_makes_every_status():
    assert set(rendered(plan(), range(10))["status"]) == {1, 2, 3}


def test_importing_the_atlas_does_not_load_tensorstore_or_jax():
    script = "import sys, jaxviz.atlas; print({'tensorstore', 'jax'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout == "set()\n"


def test_old_names_of_a_plan_still_work():
    layer = LayerPlan(name="a", channels=range(5), height=1, width=1, depth=1, chunk=3)
    assert layer.piece_units == 3
    assert layer.model_dump()["chunk"] == 3
    with pytest.warns(DeprecationWarning, match="piece_units"):
        assert layer.chunk == 3
    with pytest.warns(DeprecationWarning, match="pieces"):
        assert layer.chunks() == layer.pieces()
