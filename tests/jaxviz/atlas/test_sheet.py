"""What a sheet shows."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageColor

from jaxviz.atlas import LayerPlan, UnitStatus
from jaxviz.atlas.layout import layout_of
from jaxviz.atlas.sheet import draw_sheet
from jaxviz.imaging.screen import displayed
from tests.support.synthetic import make, plan, rendered


def sheet_of(layer: LayerPlan, status=None) -> np.ndarray:
    def read(units: range) -> np.ndarray:
        return rendered(layer, units)["images"]

    status = np.full(layer.units, UnitStatus.DONE) if status is None else np.array(status)
    return np.asarray(draw_sheet(layer, read, status))


def tile(sheet: np.ndarray, layer: LayerPlan, unit: int) -> np.ndarray:
    box = layout_of(layer).tile(unit)
    return sheet[box.top : box.bottom, box.left : box.right]


def colours(pixels: np.ndarray) -> set:
    return set(map(tuple, pixels.reshape(-1, 3).tolist()))


def test_tiles_are_the_images_pixel_by_pixel():
    layer = plan(units=10, side=70)
    sheet = sheet_of(layer)
    for unit, image in enumerate(rendered(layer, range(10))["images"]):
        np.testing.assert_array_equal(tile(sheet, layer, unit), image)


def test_small_images_are_enlarged_without_blur():
    layer = plan(units=5, side=16)
    sheet = sheet_of(layer)
    image = rendered(layer, range(3, 4))["images"][0]
    np.testing.assert_array_equal(tile(sheet, layer, 3), image.repeat(4, 0).repeat(4, 1))


def test_large_layers_are_reduced_and_keep_their_colours():
    layer = LayerPlan(name="a", channels=range(900), height=224, width=224, depth=3, chunk=300)
    flat = np.random.default_rng(0).integers(0, 256, (900, 3), np.uint8)

    def read(units: range) -> np.ndarray:
        part = flat[units.start : units.stop, None, None]
        return np.broadcast_to(part, (len(units), 224, 224, 3))

    sheet = np.asarray(draw_sheet(layer, read, np.ones(900, np.uint8)))
    assert layout_of(layer).tile_width < 224
    for unit in (0, 1, 499, 899):
        assert colours(tile(sheet, layer, unit)) == {tuple(flat[unit].tolist())}


def test_grey_networks_have_grey_sheets(tmp_path):
    make(tmp_path / "a", [plan(units=10, side=64, depth=1)])
    with Image.open(tmp_path / "a/sheets/conv1.png") as sheet:
        assert sheet.mode == "L"
    layer = plan(units=10, side=64, depth=1)
    image = rendered(layer, range(2, 3))["images"][0, ..., 0]
    np.testing.assert_array_equal(tile(sheet_of(layer), layer, 2), image)


def test_dead_failed_and_pending_units_are_marked():
    layer = plan(units=4, side=96)
    sheet = sheet_of(layer, [UnitStatus.DONE, UnitStatus.DEAD, UnitStatus.FAILED, 0])
    image = rendered(layer, range(4))["images"]
    np.testing.assert_array_equal(tile(sheet, layer, 0), image[0])
    for unit, state in ((1, UnitStatus.DEAD), (2, UnitStatus.FAILED)):
        marked = tile(sheet, layer, unit)
        assert marked.mean() < 0.6 * image[unit].mean()
        colour = ImageColor.getrgb(state.colour)
        assert colour in colours(marked)  # the word
        box = layout_of(layer).label(unit)
        assert colour in colours(sheet[box.top : box.bottom, box.left : box.right])
    assert len(colours(tile(sheet, layer, 3))) == 2  # an empty frame


def test_a_piece_without_final_units_is_not_read():
    layer = plan(units=8, side=64, chunk=4)
    asked = []

    def read(units: range) -> np.ndarray:
        asked.append(units)
        return rendered(layer, units)["images"]

    draw_sheet(layer, read, np.array([1, 0, 1, 1, 0, 0, 0, 0]))
    assert asked == [range(4)]


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 12])
def test_any_depth_can_be_displayed(depth):
    grey = np.full((2, 3, 4, depth), 77, np.uint8)
    shown = displayed(grey)
    assert shown.shape == ((2, 3, 4) if depth == 1 else (2, 3, 4, 3))
    assert (shown == 77).all()  # equal channels are grey


def test_false_colour_by_hand():
    two = np.full((1, 2, 1, 2), [200, 50], np.uint8)
    assert displayed(two)[0, 1, 0].tolist() == [200, 125, 50]
    four = np.full((1, 2, 1, 4), [10, 30, 90, 200], np.uint8)
    assert displayed(four)[0, 1, 0].tolist() == [20, 90, 200]


@pytest.mark.parametrize("name", ["層", "a\nb\x1b[31m", "x" * 2000, "<b>&amp;</b>", "\u202edlrow"])
def test_any_name_can_be_drawn(name):
    sheet_of(plan(name, units=2, side=64))
