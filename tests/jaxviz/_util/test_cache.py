"""The cache stays where earlier versions put it."""

import sys
from pathlib import Path

import pytest

from jaxviz._util.cache import cache_folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have other folders")


def test_the_cache_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("tuning") == tmp_path / "jaxviz" / "tuning"


def test_the_cache_is_in_the_home_folder_by_default(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder("xla") == Path(tmp_path, ".cache", "jaxviz", "xla")
