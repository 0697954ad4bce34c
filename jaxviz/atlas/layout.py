"""The layout of a sheet: positions and sizes in pixels, without drawing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxviz.atlas.manifest import LayerPlan

#: Longest side of a sheet. Common viewers fail to open larger images.
LARGEST_SHEET = 6000
# Tiles are enlarged by a whole factor up to this side, so that a channel number fits below.
_SMALLEST_TILE = 64
# Smallest side of a tile. An image of one row is drawn as a band of this height.
_THINNEST_TILE = 32
_NARROWEST_SHEET = 480
# Accepted and best ratios of width to height of a sheet.
_TALLEST, _WIDEST, _BEST = 0.8, 2.0, 4 / 3


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column of pixels beyond the box."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The first row of pixels below the box."""
        return self.top + self.height


@dataclass(frozen=True)
class Layout:
    """A header above a grid of tiles, with a label under each tile.

    Attributes:
        units: Number of tiles.
        columns: Tiles in a row.
        tile_width: Width of a tile as drawn.
        tile_height: Height of a tile as drawn.
        digits: Characters of the longest label.
    """

    units: int
    columns: int
    tile_width: int
    tile_height: int
    digits: int = 1

    @property
    def rows(self) -> int:
        """Number of rows of tiles."""
        return math.ceil(self.units / self.columns)

    @property
    def gap(self) -> int:
        """Distance between tiles."""
        return max(4, round(0.07 * min(self.tile_width, self.tile_height)))

    @property
    def margin(self) -> int:
        """Distance between the grid and the edges of the sheet."""
        return max(16, 2 * self.gap, round(0.012 * self._grid_width))

    @property
    def label_size(self) -> int:
        """Height of the label's font. The longest label fits the tile's width."""
        wanted = min(max(round(0.18 * self.tile_height), 12), 40)
        return max(1, min(wanted, int(self.tile_width / (0.62 * self.digits))))

    @property
    def label_height(self) -> int:
        """Height of the label under a tile."""
        return round(1.5 * self.label_size)

    @property
    def title_size(self) -> int:
        """Height of the title's font. It grows with the sheet to stay readable in a full view."""
        return max(20, round(self.width / 48))

    @property
    def note_size(self) -> int:
        """Height of the font below the title."""
        return max(13, round(0.6 * self.title_size))

    @property
    def header(self) -> Box:
        """The box of the title and the line below the title."""
        height = round(1.3 * self.title_size + 1.6 * self.note_size)
        return Box(self.margin, self.margin, self.width - 2 * self.margin, height)

    @property
    def width(self) -> int:
        """Width of the sheet."""
        return max(_NARROWEST_SHEET, self._grid_width + 2 * self.margin)

    @property
    def height(self) -> int:
        """Height of the sheet."""
        return self.tile(self.units - 1).bottom + self.label_height + self.margin

    @property
    def _grid_width(self) -> int:
        return self.columns * (self.tile_width + self.gap) - self.gap

    def tile(self, index: int) -> Box:
        """The box of a unit's tile."""
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
        """The box of a unit's label."""
        tile = self.tile(index)
        return Box(tile.left, tile.bottom, tile.width, self.label_height)


def layout_of(plan: LayerPlan) -> Layout:
    """Lay out the sheet of a layer.

    Small images are enlarged by a whole factor. If a side of the sheet would exceed
    `LARGEST_SHEET`, all tiles are reduced by one factor.

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
        # A loop, because gaps and labels do not shrink in proportion.
        shrink = min(0.99, LARGEST_SHEET / max(layout.width, layout.height))
        width, height = max(1, int(width * shrink)), max(1, int(height * shrink))
        layout = Layout(plan.units, columns, width, height, digits)
    return layout


def _enlarged(width: int, height: int) -> tuple[int, int]:
    short, long = sorted((width, height))
    factor = max(1, min(math.ceil(_SMALLEST_TILE / short), 2 * _SMALLEST_TILE // long))
    # An image of one row becomes a band, because a single row of pixels is hardly visible.
    return (
        width * max(factor, math.ceil(_THINNEST_TILE / width)),
        height * max(factor, math.ceil(_THINNEST_TILE / height)),
    )


def _columns(units: int, width: int, height: int, digits: int) -> int:
    """Columns with the fewest empty places among the accepted ratios, then the best ratio."""
    if units <= 4:
        return units
    layouts = [Layout(units, columns, width, height, digits) for columns in range(1, units + 1)]
    pleasant = [layout for layout in layouts if _TALLEST <= _ratio(layout) <= _WIDEST]
    if pleasant:
        best = min(pleasant, key=lambda grid: (-units % grid.columns, _distance(grid)))
    else:  # few or very long tiles
        best = min(layouts, key=_distance)
    if max(best.width, best.height) > LARGEST_SHEET:
        # Such a sheet will be reduced, so the least reduction matters more than the ratio.
        best = min(layouts, key=lambda grid: max(grid.width, grid.height))
    return best.columns


def _ratio(layout: Layout) -> float:
    across = layout.columns * (layout.tile_width + layout.gap)
    return across / (layout.rows * (layout.tile_height + layout.label_height + layout.gap))


def _distance(layout: Layout) -> float:
    return abs(math.log(_ratio(layout) / _BEST))
