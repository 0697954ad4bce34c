"""The gallery page shows what its list says, and its commands are ones that exist."""

import shlex
import tomllib

import pytest

from jaxviz.cli import cli
from scripts import make_gallery

ROOT = make_gallery.ROOT
SECTIONS = tomllib.loads((ROOT / "scripts" / "gallery.toml").read_text("utf-8"))["section"]
PICTURES = [picture for section in SECTIONS for picture in section["picture"]]


def test_the_page_is_made_from_the_list():
    assert (ROOT / "docs" / "gallery.md").read_text("utf-8") == make_gallery.page(SECTIONS)


@pytest.mark.parametrize("picture", PICTURES, ids=lambda p: p["file"])
def test_every_picture_is_there_and_its_command_is_understood(picture):
    assert (ROOT / "docs" / "gallery" / picture["file"]).is_file()
    program, command, *arguments = shlex.split(picture["command"])
    assert program == "jaxviz"
    cli.commands[command].make_context(command, arguments)  # raises on what it does not know


def test_pictures_are_small_and_all_on_the_page():
    files = list((ROOT / "docs" / "gallery").iterdir())
    assert {f.name for f in files} == {p["file"] for p in PICTURES}
    assert sum(f.stat().st_size for f in files) < 6_000_000
