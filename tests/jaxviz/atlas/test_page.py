"""The page: complete, self-contained, and inert whatever a model calls its layers."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jaxviz.atlas import AtlasWriter, LayerPlan, open_atlas
from jaxviz.atlas.columns import VALUES
from jaxviz.atlas.page import embedded
from jaxviz.atlas.tiles import strips_of, write_strips
from jaxviz.runtime.execution import Execution
from tests.support.synthetic import make, plan, rendered

ATTACKS = [
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "]]><svg/onload=alert(1)>",
    "' onmouseover='alert(1)",
    '"><script>alert(1)</script>',
    "\u2028alert(1)\u2029",
    "@@SCRIPT@@ \\1 \\u003c",
    "&lt;b&gt;",
]


class Page(HTMLParser):
    """The elements of a page, and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: dict[str, list[str]] = {}
        self.open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.text.setdefault(tag, []).append("")
        self.open = tag

    def handle_endtag(self, tag):
        self.open = ""

    def handle_data(self, data):
        if self.open:
            self.text[self.open][-1] += data


def page_of(path: Path) -> Page:
    return Page((path / "index.html").read_text(encoding="utf-8"))


def data_of(page: Page) -> dict:
    return json.loads(page.text["script"][0])


def test_the_page_holds_every_unit(tmp_path):
    layers = [plan(), plan("a/B", (3, 1, 40, 41, 9), depth=1, preset="keras-io")]
    make(tmp_path / "net.atlas", layers)
    data = data_of(page_of(tmp_path / "net.atlas"))
    assert data["title"] == "net"
    assert data["identity"]["seed"] == 7
    assert data["runs"][0]["record"]["device"] == "cpu"
    assert [c["name"] for c in data["columns"]] == [column.name for column in VALUES]
    for layer, entry in zip(layers, data["layers"], strict=True):
        expected = rendered(layer, range(layer.units))
        assert entry["name"] == layer.name
        assert entry["key"] == layer.key
        assert entry["channels"] == list(layer.channels)
        assert entry["status"] == expected["status"].tolist()
        found = np.array(entry["values"]["score"], float)
        np.testing.assert_allclose(found, expected["score"], rtol=1e-5)
        assert [v is None for v in entry["values"]["score"]] == np.isnan(expected["score"]).tolist()


@pytest.mark.parametrize("attack", ATTACKS)
def test_names_are_inert(tmp_path, attack):
    make(tmp_path / "plain", [plan()])
    make(
        tmp_path / "attacked",
        [plan(attack, preset=attack, compute=Execution(chunk=1, implementations={attack: attack}))],
        identity={"model": attack, attack: 1},
        title=attack,
    )
    plain, attacked = page_of(tmp_path / "plain"), page_of(tmp_path / "attacked")
    assert attacked.tags == plain.tags
    assert attacked.attributes == plain.attributes
    assert attacked.text["script"][1] == plain.text["script"][1]
    assert attacked.text["title"][0] == f"{attack} · filter atlas"
    data = data_of(attacked)
    assert data["layers"][0]["name"] == data["layers"][0]["preset"] == attack
    assert data["identity"] == {"model": attack, attack: 1}


@settings(deadline=None)
@given(st.recursive(st.text(), lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner)))
def test_embedded_json_survives_and_holds_no_markup(value):
    text = embedded(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert not set("<>&") & set(text)


def test_nothing_is_fetched_and_nothing_else_may_run(tmp_path):
    make(tmp_path / "a", [plan()])
    text = (tmp_path / "a/index.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not {"link", "iframe", "img", "object"} & set(page.tags)
    assert not [a for a, _ in page.attributes if a in ("src", "srcset") or a.startswith("on")]
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}
    script = page.text["script"][1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policies = [v for a, v in page.attributes if a == "content" and v and "script-src" in v]
    assert policies[0].startswith(f"script-src 'sha256-{digest}';")
    assert "@@" not in text.replace(script, "")
    for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert sink not in script


@pytest.mark.parametrize(("side", "ending"), [(16, "png"), (64, "jpg")])
@pytest.mark.parametrize("depth", [1, 3])
def test_strips_hold_the_tiles(tmp_path, side, ending, depth):
    layer = plan(units=70, side=side, depth=depth, chunk=16)
    # Smooth pictures: JPEG is no judge of noise.
    ramp = np.linspace(0, 255, side)[:, None, None] * np.ones((1, side, depth))
    images = np.stack([np.roll(ramp, unit * 3, axis=1) * (unit % 9 + 1) / 9 for unit in range(70)])
    images = np.rint(images).astype(np.uint8)
    strips = write_strips(tmp_path, layer, lambda units: images[units.start : units.stop])
    assert strips.suffix == ending
    entry = tmp_path / "tiles" / "conv1"
    assert {f.name for f in entry.iterdir()} == {f"{n}.{ending}" for n in range(3)}
    for unit in (0, 31, 32, 69):
        strip, place = divmod(unit, strips.tiles)
        with Image.open(entry / f"{strip}.{ending}") as picture:
            assert picture.mode == ("L" if depth == 1 else "RGB")
            found = np.asarray(picture)[place * side : (place + 1) * side].astype(float)
        expected = images[unit].squeeze().astype(float)
        assert np.abs(found - expected).mean() <= (0 if ending == "png" else 3)


def test_tall_tiles_make_shorter_strips():
    tall = LayerPlan(name="a", channels=range(9), height=4000, width=8, depth=3)
    assert strips_of(tall).tiles * tall.height <= 16000
    assert strips_of(tall.model_copy(update={"height": 100_000})).tiles == 1


def test_strips_packed_otherwise_before_are_found_by_the_page(tmp_path, monkeypatch):
    """An atlas may be continued by a version that packs tiles otherwise."""
    with AtlasWriter(tmp_path / "a", identity={}, record={}, layers=[plan(), plan("b")]) as atlas:
        atlas.write("conv1", range(4), **rendered(plan(), range(4)))
        atlas.finish("conv1")
    monkeypatch.setattr("jaxviz.atlas.tiles.LARGEST_EXACT", 0)
    with AtlasWriter(tmp_path / "a", identity={}, record={}, layers=[plan(), plan("b")]) as atlas:
        atlas.write("b", range(4), **rendered(plan("b"), range(4)))
        atlas.finish("b")
    for entry in data_of(page_of(tmp_path / "a"))["layers"]:
        assert (tmp_path / "a/tiles" / entry["key"] / f"0.{entry['strips']['suffix']}").exists()


def test_an_unfinished_layer_is_on_the_page(tmp_path):
    layers = [plan(), plan("later")]
    with AtlasWriter(tmp_path / "a", identity={}, record={}, layers=layers) as atlas:
        atlas.write("conv1", range(4), **rendered(plan(), range(4)))
        atlas.finish("conv1")
    entries = data_of(page_of(tmp_path / "a"))["layers"]
    assert entries[0]["status"] == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert entries[1]["status"] == [0] * 10
    assert entries[0]["strips"] == {"tiles": 32, "suffix": "png"}
    assert entries[1]["strips"] is None
    assert open_atlas(tmp_path / "a").manifest.layers[0].drawn == 4
