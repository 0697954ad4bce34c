"""The gallery page is what the script writes, its pictures are there, its commands are valid."""

import importlib.util
import shlex
import tomllib
from pathlib import Path

import pytest

from jaxviz.cli import cli

ROOT = Path(__file__).parents[3]
SECTIONS = tomllib.loads((ROOT / "scripts" / "gallery.toml").read_text("utf-8"))["section"]
GALLERY = [picture for section in SECTIONS for picture in section["picture"]]


def test_page_and_pictures():
    spec = importlib.util.spec_from_file_location(
        "make_gallery", ROOT / "scripts" / "make_gallery.py"
    )
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert (ROOT / "docs" / "gallery.md").read_text("utf-8") == script.page(SECTIONS)
    files = {path.name: path.stat().st_size for path in (ROOT / "docs" / "gallery").iterdir()}
    assert set(files) == {picture["file"] for picture in GALLERY}
    assert sum(files.values()) < 6_000_000


@pytest.mark.parametrize("picture", GALLERY, ids=lambda picture: picture["file"])
def test_command(picture):
    program, name, *arguments = shlex.split(picture["command"].replace("OUT", picture["file"]))
    assert program == "jaxviz"
    cli.commands[name].make_context(name, arguments)  # raises where an option does not exist
