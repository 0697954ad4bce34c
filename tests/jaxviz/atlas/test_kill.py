"""A run that is killed loses nothing that was committed and blocks nobody."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jaxviz.atlas import UnitStatus, open_atlas
from jaxviz.errors import AtlasLockedError
from tests.support.synthetic import make, plan, rendered

LAYERS = [plan(units=60, side=16), plan("a/B", units=21, side=16, depth=1)]
KILLS = 8

RUN = """
import sys
sys.path.insert(0, sys.argv[1])
import tensorstore
from tests.support.synthetic import make, plan
layers = [plan(units=60, side=16), plan("a/B", units=21, side=16, depth=1)]
print("ready", flush=True)
make(sys.argv[2], layers)
print("done", flush=True)
sys.stdin.read()
"""


def start(path: Path) -> subprocess.Popen:
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(root), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: subprocess.Popen, how: int = signal.SIGKILL) -> None:
    process.send_signal(how)
    process.communicate()


def check_committed(path: Path) -> int:
    """Everything that says it is committed is right; returns how many units are."""
    if not (path / "manifest.json").exists():
        return 0
    json.loads((path / "manifest.json").read_bytes())
    committed = 0
    for layer in LAYERS:
        if not (path / "layers" / layer.key / "status" / "zarr.json").exists():
            continue
        found, expected = open_atlas(path)[layer.name], rendered(layer, range(layer.units))
        final = found.status != UnitStatus.PENDING
        np.testing.assert_array_equal(found.status[final], expected["status"][final])
        if final.any():
            np.testing.assert_array_equal(found.images[final], expected["images"][final])
            np.testing.assert_array_equal(found.scores[final], expected["score"][final])
            np.testing.assert_array_equal(found.initial_scores[final], expected["initial"][final])
        committed += int(final.sum())
    return committed


def test_killed_at_any_moment_and_continued(tmp_path):
    started = time.monotonic()
    whole = start(tmp_path / "whole.atlas")
    began = time.monotonic()
    assert whole.stdout.readline() == "done\n", f"no result after {began - started} s"
    lasts = time.monotonic() - began
    end(whole)

    path, moments, committed = tmp_path / "killed.atlas", random.Random(0), 0
    for _ in range(KILLS):
        process = start(path)
        time.sleep(moments.uniform(0, lasts / 3))
        end(process)
        assert check_committed(path) >= committed
        committed = check_committed(path)
    make(path, LAYERS)
    assert check_committed(path) == sum(layer.units for layer in LAYERS)
    for layer in LAYERS:
        for name in ("image", "score", "initial", "status"):
            one = tmp_path / "whole.atlas" / "layers" / layer.key / name
            for file in (f for f in one.rglob("*") if f.is_file()):
                other = path / file.relative_to(tmp_path / "whole.atlas")
                assert other.read_bytes() == file.read_bytes(), file
    for name in ("conv1", "a%2f%42"):
        file = f"sheets/{name}.png"
        assert (path / file).read_bytes() == (tmp_path / "whole.atlas" / file).read_bytes()


@pytest.mark.parametrize("stop", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 110, 125, 130, 134, 137])
def test_stopped_before_any_file(tmp_path, stop, monkeypatch):
    """The same without luck: the run dies right before its Nth file is written."""
    import jaxviz.atlas.files
    import jaxviz.atlas.store

    class Killed(BaseException):
        pass

    left = [stop]

    def counted(real):
        def call(*args, **kwargs):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", counted(Path.replace))
        patch.setattr(
            jaxviz.atlas.store.LayerStore,
            "open_array",
            counted(jaxviz.atlas.store.LayerStore.open_array),
        )
        with pytest.raises(Killed):
            make(tmp_path / "a", LAYERS)
    check_committed(tmp_path / "a")
    make(tmp_path / "a", LAYERS)
    assert check_committed(tmp_path / "a") == sum(layer.units for layer in LAYERS)


def test_a_second_process_is_told_and_a_dead_one_blocks_nobody(tmp_path):
    path = tmp_path / "a.atlas"
    hold = "from tests.support.synthetic import *; import time; w = AtlasWriter("
    hold += "sys.argv[2], identity=IDENTITY, record=RECORD, layers=[plan()])"
    script = f"import sys; sys.path.insert(0, sys.argv[1]); {hold}; print('held', flush=True)"
    process = subprocess.Popen(
        [sys.executable, "-c", script + "; time.sleep(60)", Path(__file__).parents[3], path],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    before = time.monotonic()
    with pytest.raises(AtlasLockedError, match=rf"process {process.pid}\b"):
        make(path, [plan()])
    assert time.monotonic() - before < 1
    end(process)
    make(path, [plan()])
