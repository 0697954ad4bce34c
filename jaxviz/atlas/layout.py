"""Where everything stands on a sheet. Plain geometry, in pixels, no drawing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxviz.atlas.manifest import LayerPlan

#: No side of a sheet is longer: larger ones fail to open in common viewers.
LARGEST_SHEET = 6000
# A tile is enlarged, by a whole factor, until a channel number fits below it.
_SMALLEST_TILE = 64
# The band that stands for an image of one row.
_THINNEST_TILE = 32
_NARROWEST_SHEET = 480
# Columns are chosen among those that give a sheet between these ratios of width to height.
_TALLEST, _WIDEST, _BEST = 0.8, 2.0, 4 / 3


@dataclass(frozen=True)
class Box:
    """A rectangle: left and top edge, width and height."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column of pixels beyond it."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The first row of pixels below it."""
        return self.top + self.height


@dataclass(frozen=True)
class Layout:
    """A header, and below it a grid of tiles, each with a label strip under it.

    Attributes:
        units: How many tiles there are.
        columns: Tiles in a row.
        tile_width: Of a tile as drawn.
        tile_height: Of a tile as drawn.
        digits: Characters of the longest label.
    """

    units: int
    columns: int
    tile_width: int
    tile_height: int
    digits: int = 1

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return math.ceil(self.units / self.columns)

    @property
    def gap(self) -> int:
        """Between tiles."""
        return max(4, round(0.07 * min(self.tile_width, self.tile_height)))

    @property
    def margin(self) -> int:
        """Around everything."""
        return max(16, 2 * self.gap, round(0.012 * self._grid_width))

    @property
    def label_size(self) -> int:
        """Height of the label's font: as large as looks well, but within the tile's width."""
        wanted = min(max(round(0.18 * self.tile_height), 12), 40)
        return max(1, min(wanted, int(self.tile_width / (0.62 * self.digits))))

    @property
    def label_height(self) -> int:
        """Of the strip under a tile."""
        return round(1.5 * self.label_size)

    @property
    def title_size(self) -> int:
        """Grows with the sheet, so that the title is read when the whole sheet is in view."""
        return max(20, round(self.width / 48))

    @property
    def note_size(self) -> int:
        """Of the line below the title."""
        return max(13, round(0.6 * self.title_size))

    @property
    def header(self) -> Box:
        """The title and the line below it."""
        height = round(1.3 * self.title_size + 1.6 * self.note_size)
        return Box(self.margin, self.margin, self.width - 2 * self.margin, height)

    @property
    def width(self) -> int:
        """Of the sheet."""
        return max(_NARROWEST_SHEET, self._grid_width + 2 * self.margin)

    @property
    def height(self) -> int:
        """Of the sheet."""
        return self.tile(self.units - 1).bottom + self.label_height + self.margin

    @property
    def _grid_width(self) -> int:
        return self.columns * (self.tile_width + self.gap) - self.gap

    def tile(self, index: int) -> Box:
        """Where the tile of a unit stands."""
        row, column = divmod(index, self.columns)
        return Box(
            self.margin + column * (self.tile_width + self.gap),
            self.header.bottom
            + self.note_size
            + row * (self.tile_height + self.label_height + self.gap),
            self.tile_width,
            self.tile_height,
        )

    def label(self, index: int) -> Box:
        """Where its label stands."""
        tile = self.tile(index)
        return Box(tile.left, tile.bottom, tile.width, self.label_height)


def layout_of(plan: LayerPlan) -> Layout:
    """Lay out the sheet of a layer.

    Small images are enlarged by a whole factor; where the sheet would be longer than
    `LARGEST_SHEET` on a side, all tiles are reduced alike.

    Example:
        >>> plan = LayerPlan(name="a", channels=range(64), height=128, width=128, depth=3)
        >>> layout = layout_of(plan)
        >>> layout.columns, layout.rows, layout.tile_width
        (8, 8, 128)
    """
    tall, wide = plan.tile_size
    width, height = _enlarged(wide, tall)
    digits = len(str(max(plan.channels)))
    columns = _columns(plan.units, width, height, digits)
    layout = Layout(plan.units, columns, width, height, digits)
    while max(layout.width, layout.height) > LARGEST_SHEET and max(width, height) > 1:
        # Gaps and labels do not shrink in proportion, hence the loop.
        shrink = min(0.99, LARGEST_SHEET / max(layout.width, layout.height))
        width, height = max(1, int(width * shrink)), max(1, int(height * shrink))
        layout = Layout(plan.units, columns, width, height, digits)
    return layout


def _enlarged(width: int, height: int) -> tuple[int, int]:
    short, long = sorted((width, height))
    factor = max(1, min(math.ceil(_SMALLEST_TILE / short), 2 * _SMALLEST_TILE // long))
    # An image of one row (a one-dimensional network) becomes a band, or it would not be seen.
    return (
        width * max(factor, math.ceil(_THINNEST_TILE / width)),
        height * max(factor, math.ceil(_THINNEST_TILE / height)),
    )


def _columns(units: int, width: int, height: int, digits: int) -> int:
    """Fewest empty places among the pleasant ratios, then the best ratio."""
    if units <= 4:
        return units
    layouts = [Layout(units, columns, width, height, digits) for columns in range(1, units + 1)]
    pleasant = [layout for layout in layouts if _TALLEST <= _ratio(layout) <= _WIDEST]
    if pleasant:
        best = min(pleasant, key=lambda grid: (-units % grid.columns, _distance(grid)))
    else:  # few or very long tiles
        best = min(layouts, key=_distance)
    if max(best.width, best.height) > LARGEST_SHEET:
        # It will have to be reduced; then the least reduction counts for more.
        best = min(layouts, key=lambda grid: max(grid.width, grid.height))
    return best.columns


def _ratio(layout: Layout) -> float:
    across = layout.columns * (layout.tile_width + layout.gap)
    return across / (layout.rows * (layout.tile_height + layout.label_height + layout.gap))


def _distance(layout: Layout) -> float:
    return abs(math.log(_ratio(layout) / _BEST))
