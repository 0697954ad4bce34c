"""Make docs/gallery.md and its pictures from scripts/gallery.toml, with real networks.

    scripts/fetch_models
    .venv/bin/python scripts/train_small_cnns.py
    .venv/bin/python scripts/gallery_images.py
    .venv/bin/python scripts/make_gallery.py [NAME…]

A NAME is a picture's file name without its ending; without names, all pictures are made. The
commands run exactly as the page shows them, from the root of the repository.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NotRequired, TypedDict

from PIL import Image

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "gallery"
WORK = ROOT / "build" / "gallery"
_WIDEST_SHEET = 1000
_CREDITS = """## Where the images are from

The galaxies are synthesised by `scripts/galaxies.py`, and the clothes are drawn by
`scripts/gallery_images.py`. The Hubble eXtreme Deep Field and the photograph of Eileen Collins are
NASA's, in the public domain; the cat is by Stefan van der Walt, CC0. scikit-image contains the
photographs. Fashion-MNIST (Zalando, MIT licence) trained a network; the gallery shows none of its
images.
"""


class Picture(TypedDict):
    """One picture in gallery.toml; `sheet` is the file that a smaller copy is made of."""

    file: str
    title: str
    text: str
    command: str
    sheet: NotRequired[str]


class Section(TypedDict):
    """One section in gallery.toml."""

    title: str
    text: str
    picture: list[Picture]


def make(picture: Picture) -> None:
    """Run a picture's command, and keep its file or a smaller copy of its sheet."""
    target = PICTURES / picture["file"]
    words = shlex.split(picture["command"].replace("OUT", str(target.relative_to(ROOT))))
    tool = Path(sys.executable).with_name("jaxviz")
    subprocess.run([str(tool), *words[1:]], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    if "sheet" in picture:
        with Image.open(WORK / picture["sheet"]) as sheet:
            width = min(sheet.width, _WIDEST_SHEET)
            small = sheet.resize((width, round(sheet.height * width / sheet.width)), 1)
            small.save(target, quality=85, optimize=True)
    elif target.suffix == ".png":
        with Image.open(target) as figure:
            opaque = figure.convert("RGB")
        opaque.save(target, optimize=True)


def page(sections: list[Section]) -> str:
    """The gallery as Markdown."""
    lines = [
        "# Gallery",
        "",
        "Each picture stands above the command that makes it, from the root of the repository.",
        "`scripts/make_gallery.py` writes this page. `scripts/fetch_models` and",
        "`scripts/train_small_cnns.py` put the networks into `models/`. The ending of `-o` chooses",
        "PNG, SVG or PDF, and `--theme dark` suits slides.",
        "",
    ]
    for section in sections:
        lines += [f"## {section['title']}", "", section["text"], ""]
        for picture in section["picture"]:
            command = picture["command"].replace("OUT", picture["file"])
            lines += [
                f"### {picture['title']}",
                "",
                f"![{picture['title']}](gallery/{picture['file']})",
                "",
                picture["text"],
                "",
                f"    {command}",
                "",
            ]
    return "\n".join([*lines, _CREDITS])


def main() -> None:
    sections = tomllib.loads((ROOT / "scripts" / "gallery.toml").read_text("utf-8"))["section"]
    wanted = set(sys.argv[1:])
    PICTURES.mkdir(parents=True, exist_ok=True)
    WORK.mkdir(parents=True, exist_ok=True)
    for section in sections:
        for picture in section["picture"]:
            if not wanted or Path(picture["file"]).stem in wanted:
                print(picture["file"], flush=True)
                make(picture)
    (ROOT / "docs" / "gallery.md").write_text(page(sections), encoding="utf-8")


if __name__ == "__main__":
    main()
