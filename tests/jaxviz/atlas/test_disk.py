"""Disks that are full or cannot be written."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path

import numpy as np
import pytest

from jaxviz.atlas import AtlasWriter, open_atlas
from jaxviz.errors import AtlasError
from tests.support.synthetic import IDENTITY, RECORD, make, plan, rendered

BIG = plan(units=40, side=64)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 200 kB; BIG needs 500."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def check_same(path: Path) -> None:
    found, expected = open_atlas(path)["conv1"], rendered(BIG, range(BIG.units))
    np.testing.assert_array_equal(found.images, expected["images"])
    np.testing.assert_array_equal(found.status, expected["status"])


def test_a_full_disk_is_said_and_the_atlas_continues(small_disk):
    path = small_disk / "a.atlas"
    with pytest.raises(
        AtlasError, match=r"No space left on device(.|\n)*run the same command again"
    ):
        make(path, [BIG])
    final = open_atlas(path)["conv1"].status > 0
    assert 0 < final.sum() < BIG.units
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    make(path, [BIG])
    check_same(path)


@pytest.mark.parametrize("limit", [300, 1500, 20_000, 200_000])
def test_files_that_may_not_grow(tmp_path, limit):
    """The manifest, a chunk or the sheet hits the limit; what is written stays usable."""
    path = tmp_path / "a.atlas"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(AtlasError, match="File too large"):
            make(path, [BIG])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    make(path, [BIG])
    check_same(path)
    assert not list(path.rglob("*.partial"))


def test_a_read_only_disk(small_disk):
    path = small_disk / "a.atlas"
    make(path, [plan()])
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(AtlasError, match="Read-only file system"):
        make(path, [plan()])
    with pytest.raises(AtlasError, match="cannot make .*Read-only file system"):
        make(small_disk / "b.atlas", [plan()])
    assert len(open_atlas(path)["conv1"].scores) == 10


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(tmp_path):
    (tmp_path / "a").mkdir(mode=0o500)
    with pytest.raises(AtlasError, match="Permission denied"):
        make(tmp_path / "a", [plan()])


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    import fcntl

    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(AtlasError, match="No locks available"):
        make(tmp_path / "a", [plan()])


def test_an_error_of_the_run_is_not_hidden_by_a_full_disk(tmp_path, monkeypatch):
    writer = AtlasWriter(tmp_path / "a", identity=IDENTITY, record=RECORD, layers=[plan()])

    def full(_):
        raise OSError(28, "No space left on device")

    def interrupted():
        with writer:
            monkeypatch.setattr(os, "fsync", full)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
