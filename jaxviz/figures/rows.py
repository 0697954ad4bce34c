"""The layout that most figures share: a row for each image, a block of maps for each layer.

A row begins with the image. Each block has the layer's name, the size of its maps, a colour bar,
and a grid of maps. At the right end a row may have a side, such as class probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from jaxviz.figures.canvas import Canvas
from jaxviz.figures.look import MARGIN, Look
from jaxviz.figures.style import Theme
from jaxviz.figures.text import line_height, wrap

CAPTION = 0.15
GAP = 0.07
BETWEEN_BLOCKS = 0.28
BETWEEN_ROWS = 0.16
_NARROWEST_BLOCK = 1.15
_LARGEST_INPUT = 2.2
_TITLE_SIZE = 10.0
# A colour scale ends at this percentile of a map instead of at the map's maximum, if the percentile
# is below this share of the maximum.
_WITHIN = 99.7
_OUTLIER = 0.75


@dataclass(frozen=True)
class Scale:
    """A colour scale that several maps share.

    Attributes:
        colormap: The colours.
        limits: Values of the first and the last colour.
        clipped: A few values lie beyond the limits and have the last colour.
    """

    colormap: Colormap
    limits: tuple[float, float]
    clipped: bool = False

    @classmethod
    def of(
        cls,
        values: np.ndarray,
        theme: Theme,
        colormap: Colormap | None = None,
        *,
        signed: bool | None = None,
    ) -> Scale:
        """The scale of some maps: from zero, or symmetric about zero if a value is negative.

        The scale ends at the largest magnitude, unless that is an outlier within its own map,
        because one hot pixel would darken all maps of a layer.

        Args:
            values: Maps [height, width], [height, width, channel] or
                [image, height, width, channel].
            theme: Gives the sequential and the diverging colour map.
            colormap: Used instead of the theme's.
            signed: Whether the scale is symmetric; by default the values decide.

        Example:
            >>> from jaxviz.figures.style import get_theme
            >>> Scale.of(np.array([[-1.0, 3.0]]), get_theme("light")).limits
            (-3.0, 3.0)
        """
        sizes = np.abs(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0))
        most = float(sizes.max(initial=0.0))
        axes = (1, 2) if values.ndim == 4 else (0, 1)
        within = float(np.percentile(sizes, _WITHIN, axis=axes).max(initial=0.0))
        # A map that is zero nearly everywhere has nothing else to show.
        clipped = 0.01 * most < within < _OUTLIER * most
        reach = within if clipped else most or 1.0
        if signed if signed is not None else bool((values < 0).any()):
            return cls(colormap or theme.diverging, (-reach, reach), clipped)
        return cls(colormap or theme.sequential, (0.0, reach), clipped)


@dataclass(frozen=True)
class Tile:
    """One map [height, width] and its caption."""

    values: np.ndarray
    scale: Scale
    caption: str = ""
    #: Draw exact zeros in the theme's colour of holes.
    holes: bool = False


@dataclass(frozen=True)
class Block:
    """One layer: for each image a grid of tiles.

    Attributes:
        title: The layer's name.
        subtitle: Size and number of its maps.
        grids: Tiles by [image][row][column]; all images have equally many rows and columns.
        heads: A heading for each column of tiles, or nothing.
        scales: Colour bars above the tiles, as (first column, last column, scale).
        zoom: Factor that enlarges the tiles; set by the page.
    """

    title: str
    subtitle: str
    grids: Sequence[Sequence[Sequence[Tile]]]
    heads: Sequence[str] = ()
    scales: Sequence[tuple[int, int, Scale]] = ()
    zoom: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of tiles."""
        return len(self.grids[0]), max(len(row) for row in self.grids[0])

    @property
    def tile(self) -> tuple[float, float]:
        """(width, height) of a tile in inches; fewer rows have larger tiles."""
        side = self.zoom * {1: 1.3, 2: 0.8}.get(self.shape[0], 0.68)
        height, width = self.grids[0][0][0].values.shape
        aspect = float(np.clip(width / height, 0.4, 2.5))
        return (side, side / aspect) if aspect > 1 else (side * aspect, side)

    @property
    def width(self) -> float:
        """Width in inches, with room for the title."""
        columns = self.shape[1]
        return max(_NARROWEST_BLOCK, columns * self.tile[0] + (columns - 1) * GAP)

    @property
    def height(self) -> float:
        """Height of one image's tiles in inches."""
        rows = self.shape[0]
        return rows * (self.tile[1] + CAPTION) + (rows - 1) * GAP / 2


@dataclass(frozen=True)
class Side:
    """A drawing at the right end of every row, such as class probabilities.

    Attributes:
        title: Heading.
        subtitle: Small print below the heading.
        width: Inches.
        draw: Draws one row; called with (canvas, row number, left, top, height).
        least_height: Inches that a row needs at least.
    """

    title: str
    subtitle: str
    width: float
    draw: Callable[[Canvas, int, float, float, float], None]
    least_height: float = 0.0


@dataclass(frozen=True)
class Page:
    """Everything on a figure of rows.

    Attributes:
        names: A name for each image.
        shown: The images, uint8 [image, height, width, 3].
        blocks: The layers.
        look: Theme, title and place of the figure.
        side: Drawn at the right end of every row.
        notes: Sentences below everything.
    """

    names: Sequence[str]
    shown: np.ndarray
    blocks: Sequence[Block]
    look: Look
    side: Side | None = None
    notes: Sequence[str] = ()


def draw_page(page: Page) -> Figure:
    """Draw a page on a figure of the size it needs, or scaled into the user's."""
    page = replace(page, blocks=[replace(b, zoom=_zoom(len(page.blocks))) for b in page.blocks])
    heads = any(block.heads for block in page.blocks)
    bars = any(block.scales for block in page.blocks)
    top = page.look.top
    header = 0.42 + (0.19 if heads else 0.0) + (0.29 if bars else 0.04)
    row = max(block.height for block in page.blocks)
    row = max(row, page.side.least_height + CAPTION if page.side else 0.0)
    side = min(row - CAPTION, _LARGEST_INPUT)
    inputs = _input_width(page.shown, side)
    width = 2 * MARGIN + inputs + sum(block.width for block in page.blocks)
    width += BETWEEN_BLOCKS * len(page.blocks)
    width += page.side.width + BETWEEN_BLOCKS if page.side else 0.0
    notes = wrap("  ".join(page.notes), width - 2 * MARGIN)
    rows = len(page.names) * (row + BETWEEN_ROWS) - BETWEEN_ROWS
    foot = 0.12 + len(notes) * line_height(7.5) if notes else 0.0
    height = top + header + rows + foot + MARGIN
    canvas = page.look.page(width, height)
    tops = [top + header + i * (row + BETWEEN_ROWS) for i in range(len(page.names))]
    _inputs(canvas, page, MARGIN, top, tops, (inputs, side))
    left = MARGIN + inputs + BETWEEN_BLOCKS
    for block in page.blocks:
        _block(canvas, block, left, top, tops, header)
        left += block.width + BETWEEN_BLOCKS
    if page.side:
        heading(canvas, page.side.title, page.side.subtitle, left, top, page.side.width)
        for number, row_top in enumerate(tops):
            page.side.draw(canvas, number, left, row_top + CAPTION, row - CAPTION)
    canvas.paragraph(MARGIN, height - MARGIN - len(notes) * line_height(7.5), notes)
    return canvas.figure


def _zoom(blocks: int) -> float:
    """Larger tiles for fewer layers, so that a page is about as wide as a slide."""
    return {1: 1.6, 2: 1.35, 3: 1.15}.get(blocks, 1.0 if blocks <= 6 else 0.75)


def _input_width(shown: np.ndarray, side: float) -> float:
    height, width = shown.shape[1:3]
    return max(0.6, side * float(np.clip(width / height, 0.4, 1.6)))


def _inputs(
    canvas: Canvas,
    page: Page,
    left: float,
    top: float,
    tops: Sequence[float],
    size: tuple[float, float],
) -> None:
    width, side = size
    pixels = f"{page.shown.shape[1]}×{page.shown.shape[2]}"
    heading(canvas, "input", pixels, left, top, width)
    for name, image, row_top in zip(page.names, page.shown, tops, strict=True):
        canvas.text(left, row_top + CAPTION / 2 - 0.01, name, size=7.5, width=width)
        height = min(side, width * image.shape[0] / image.shape[1])
        canvas.image((left, row_top + CAPTION, width, height), image / 255.0, frame=True)


def map_size(maps: np.ndarray) -> str:
    """Size and number of a layer's maps [image, height, width, channel], as a subtitle.

    Example:
        >>> map_size(np.zeros((1, 8, 6, 3)))
        '8×6, 3 channels'
    """
    height, width, count = maps.shape[1:]
    return f"{height}×{width}, {count} channel{'s' * (count != 1)}"


def heading(
    canvas: Canvas, title: str, subtitle: str, left: float, top: float, width: float
) -> None:
    """Write a heading and, in small print below it, a subtitle."""
    canvas.text(left, top + 0.1, title, size=_TITLE_SIZE, bold=True, width=width)
    canvas.text(left, top + 0.28, subtitle, size=7.5, colour=canvas.theme.muted, width=width)


def _block(
    canvas: Canvas,
    block: Block,
    left: float,
    top: float,
    tops: Sequence[float],
    header: float,
) -> None:
    muted = canvas.theme.muted
    across, down = block.tile
    heading(canvas, block.title, block.subtitle, left, top, block.width)
    for number, head in enumerate(block.heads):
        x = left + number * (across + GAP)
        canvas.text(x, top + 0.5, head, size=7.5, width=across)
    for first, last, scale in block.scales:
        x = left + first * (across + GAP)
        bar = (last - first + 1) * (across + GAP) - GAP
        canvas.colour_bar(
            x, top + header - 0.29, bar, scale.colormap, scale.limits, clipped=scale.clipped
        )
    for grid, row_top in zip(block.grids, tops, strict=True):
        for i, row in enumerate(grid):
            for j, tile in enumerate(row):
                x = left + j * (across + GAP)
                y = row_top + i * (down + CAPTION + GAP / 2)
                canvas.text(x, y + CAPTION / 2 - 0.01, tile.caption, size=6.5, colour=muted,
                            width=across)  # fmt: skip
                canvas.image(
                    (x, y + CAPTION, across, down),
                    tile.values,
                    colormap=tile.scale.colormap,
                    limits=tile.scale.limits,
                    holes=tile.holes,
                    frame=True,
                )
