"""The grid of a sheet: nothing overlaps, nothing lies outside, ratios are pleasant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxviz.atlas import LayerPlan
from jaxviz.atlas.layout import LARGEST_SHEET, Box, Layout, layout_of

plans = st.builds(
    lambda units, height, width: LayerPlan(
        name="a", channels=range(units), height=height, width=width, depth=3
    ),
    units=st.integers(1, 3000),
    height=st.integers(1, 600),
    width=st.integers(1, 600),
)


def square(units: int, side: int = 128) -> Layout:
    return layout_of(LayerPlan(name="a", channels=range(units), height=side, width=side, depth=3))


def paint(canvas: np.ndarray, box: Box) -> None:
    canvas[box.top : box.bottom, box.left : box.right] += 1


@given(plans)
@settings(deadline=None, max_examples=25)
def test_nothing_overlaps_and_nothing_lies_outside(plan):
    layout = layout_of(plan)
    boxes = [layout.header]
    boxes += [layout.tile(i) for i in range(plan.units)]
    boxes += [layout.label(i) for i in range(plan.units)]
    canvas = np.zeros((layout.height, layout.width), np.uint8)
    for box in boxes:
        assert min(box.left, box.top) >= 0
        assert min(box.width, box.height) > 0
        paint(canvas, box)
    assert canvas.max() == 1
    # A box that reaches beyond the canvas would have been cut off here.
    assert canvas.sum() == sum(box.width * box.height for box in boxes)


@given(plans)
@settings(deadline=None, max_examples=25)
def test_no_side_is_longer_than_viewers_open(plan):
    layout = layout_of(plan)
    assert max(layout.width, layout.height) <= LARGEST_SHEET


@given(plans)
@settings(deadline=None, max_examples=25)
def test_every_label_fits_its_tile(plan):
    layout = layout_of(plan)
    assert layout.label_size * 0.62 * len(str(plan.units - 1)) <= layout.tile_width + 1


@pytest.mark.parametrize(
    ("units", "columns", "rows"),
    [(1, 1, 1), (3, 3, 1), (4, 4, 1), (16, 4, 4), (32, 8, 4), (64, 8, 8), (96, 12, 8)]
    + [(512, 32, 16), (1280, 40, 32)],
)
def test_common_layers_fill_their_grid(units, columns, rows):
    layout = square(units)
    assert (layout.columns, layout.rows) == (columns, rows)


@pytest.mark.parametrize("units", [16, 24, 64, 96, 127, 256, 512, 960, 2048])
def test_the_ratio_is_pleasant(units):
    layout = square(units)
    assert 0.7 <= layout.width / layout.height <= 2.05


def test_tiles_keep_their_size_or_change_it_evenly():
    assert square(512).tile_width == 128
    assert square(16, side=28).tile_width == 84  # three whole times
    assert square(16, side=12).tile_width == 72  # six
    reduced = square(2048, side=224)
    assert 100 < reduced.tile_width == reduced.tile_height < 224


def test_channel_numbers_are_readable():
    """At 16 and at 512 filters, in pixels of a sheet at full size."""
    assert square(16).label_size >= 18
    assert square(512).label_size >= 18
    assert square(16, side=32).label_size >= 11


def test_a_signal_has_the_tile_of_its_curve():
    layout = layout_of(LayerPlan(name="a", channels=range(8), height=1, width=200, depth=3))
    assert (layout.tile_width, layout.tile_height) == (200, 96)
