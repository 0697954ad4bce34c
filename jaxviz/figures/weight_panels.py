"""The weights of one layer as an image with its captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.colors import Colormap

from jaxviz.figures.canvas import Canvas
from jaxviz.figures.kernels import Kernel, columns_for, mosaic
from jaxviz.figures.rows import heading
from jaxviz.figures.style import Theme
from jaxviz.figures.text import number

View = Literal["auto", "channels", "norms"]
Normalise = Literal["symmetric", "layer", "filter"]
VIEWS = ("auto", "channels", "norms")
NORMALISATIONS = ("symmetric", "layer", "filter")

#: Width of a panel in inches.
WIDTH = 4.0
_HIGHEST = 4.0
_LABELS = 0.3
_HEADER = 0.78
_LARGEST_TILE = 0.72
_LARGEST_CELL = 0.2
# Of larger layers only the first are shown, and the subtitle says so.
_MOST_FILTERS = 64
_MOST_PAIRS = 16
_MOST_CELLS = 128
# Legends of the two axes, by whether filters are columns.
_DOWN = {False: "↓ filter   → input channel", True: "↓ input channel   → filter"}


@dataclass(frozen=True)
class Panel:
    """One layer's weights as an image, and its captions.

    Attributes:
        title: The layer's name.
        subtitle: Number and size of its filters.
        image: [height, width] through the colour map, or [height, width, 3] in [0, 1].
        shape: (rows, columns) of tiles.
        tile: Largest side of a tile in inches.
        limits: Values of the first and the last colour.
        colormap: The colours; None for an image in colour.
        axes: Legend of rows and columns, where the tiles are not filters alone.
        legend: Meaning of the colours of an image in colour.
    """

    title: str
    subtitle: str
    image: np.ndarray
    shape: tuple[int, int]
    tile: float
    limits: tuple[float, float]
    colormap: Colormap | None
    axes: str = ""
    legend: str = ""

    @property
    def height(self) -> float:
        """Height of the panel in inches."""
        rows, columns = self.image.shape[:2]
        return _HEADER + self.width * rows / columns + (_LABELS if self.axes else 0)

    @property
    def width(self) -> float:
        """Width of the image in inches."""
        rows, columns = self.image.shape[:2]
        widest = WIDTH - (_LABELS if self.axes else 0)
        return min(widest, self.tile * self.shape[1], _HIGHEST * columns / rows)


def panel_of(
    kernel: Kernel,
    together: Sequence[Kernel],
    view: View,
    normalise: Normalise,
    theme: Theme,
    head: str = "",
) -> Panel:
    """The panel of one kernel.

    Args:
        kernel: The kernel.
        together: All kernels that share its colour scale.
        view: `auto`, `channels` or `norms`; see `filter_weights`.
        normalise: `symmetric`, `layer` or `filter`; see `filter_weights`.
        theme: Gives the colour maps.
        head: Text before the subtitle, such as `before`.
    """
    inputs = kernel.values.shape[2]
    if view == "norms" and not kernel.depthwise and inputs > 1:
        return _table(kernel, together, "norms", normalise, theme, head)
    if kernel.pointwise and not kernel.depthwise:
        return _table(kernel, together, "weights", normalise, theme, head)
    if inputs == 3 and view == "auto":
        return _colour(kernel, together, normalise, head)
    return _maps(kernel, together, normalise, theme, head)


def _colour(kernel: Kernel, together: Sequence[Kernel], normalise: Normalise, head: str) -> Panel:
    low, high = _limits(together, normalise)
    shown = min(kernel.values.shape[3], _MOST_FILTERS)
    values = _normalised(kernel.values, normalise)[..., :shown]
    tiles = np.moveaxis((values - low) / (high - low), -1, 0)
    columns = columns_for(shown)
    zero = "grey is zero" if normalise != "layer" else "black is the smallest, white the largest"
    span = "" if normalise == "filter" else f", {number(low)} to {number(high)}"
    return Panel(
        title=kernel.name,
        subtitle=_subtitle(kernel, head, shown),
        image=mosaic(tiles, columns),
        shape=(-(-shown // columns), columns),
        tile=_LARGEST_TILE,
        limits=(0, 1),
        colormap=None,
        legend=f"red, green, blue: {zero}{span}",
    )


def _maps(
    kernel: Kernel, together: Sequence[Kernel], normalise: Normalise, theme: Theme, head: str
) -> Panel:
    height, width, inputs, filters = kernel.values.shape
    alone = inputs == 1
    shown = min(filters, _MOST_FILTERS if alone else _MOST_PAIRS)
    across = min(inputs, _MOST_PAIRS)
    values = _normalised(kernel.values, normalise)[:, :, :across, :shown]
    # The longer of the two axes runs across the page.
    wide = not alone and shown > across
    order = (2, 3, 0, 1) if wide else (3, 2, 0, 1)
    tiles = values.transpose(order).reshape(-1, height, width)
    columns = columns_for(shown) if alone else max(shown, across)
    limits = _limits(together, normalise)
    return Panel(
        title=kernel.name,
        subtitle=_subtitle(kernel, head, shown, None if alone else across),
        image=mosaic(tiles, columns),
        shape=(-(-len(tiles) // columns), columns),
        tile=_LARGEST_TILE if alone else _LARGEST_TILE * 0.7,
        limits=limits,
        colormap=theme.diverging if limits[0] == -limits[1] else theme.sequential,
        axes="" if alone else _DOWN[wide],
    )


def _table(
    kernel: Kernel,
    together: Sequence[Kernel],
    values_of: Literal["norms", "weights"],
    normalise: Normalise,
    theme: Theme,
    head: str,
) -> Panel:
    if values_of == "norms":
        cells = [np.sqrt((k.values**2).sum(axis=(0, 1))) for k in together]
        high = max(float(c.max(initial=0.0)) for c in cells) or 1.0
        limits, colormap = (0.0, high), theme.sequential
        values = np.sqrt((kernel.values**2).sum(axis=(0, 1)))
    else:
        limits = _limits(together, normalise)
        colormap = theme.diverging if limits[0] == -limits[1] else theme.sequential
        values = _normalised(kernel.values, normalise)[0, 0]
    table = values[:_MOST_CELLS, :_MOST_CELLS]
    subtitle = _subtitle(kernel, head, table.shape[1], table.shape[0])
    wide = table.shape[1] > table.shape[0]
    table = table if wide else table.T
    return Panel(
        title=kernel.name,
        subtitle=f"{subtitle} · {'length of each kernel' if values_of == 'norms' else 'weights'}",
        image=table,
        shape=table.shape,
        tile=_LARGEST_CELL,
        limits=limits,
        colormap=colormap,
        axes=_DOWN[wide],
    )


def _subtitle(kernel: Kernel, head: str, filters: int, inputs: int | None = None) -> str:
    every_input, every_filter = kernel.values.shape[2:]
    parts = [head] if head else []
    parts.append(kernel.size)
    if filters < every_filter or (inputs is not None and inputs < every_input):
        less = f"first {filters} filters" if filters < every_filter else "all filters"
        if inputs is not None and inputs < every_input:
            less += f" by first {inputs} inputs"
        parts.append(less)
    return " · ".join(parts)


def _limits(together: Sequence[Kernel], normalise: Normalise) -> tuple[float, float]:
    if normalise == "filter":
        return -1.0, 1.0
    low = min(float(k.values.min()) for k in together)
    high = max(float(k.values.max()) for k in together)
    if normalise == "layer":
        return (low, high) if low < high else (low, low + 1.0)
    reach = max(-low, high) or 1.0
    return -reach, reach


def _normalised(values: np.ndarray, normalise: Normalise) -> np.ndarray:
    if normalise != "filter":
        return values
    reach = np.abs(values).max(axis=(0, 1, 2))
    return values / np.where(reach > 0, reach, 1.0)


def draw_panel(canvas: Canvas, panel: Panel, left: float, top: float) -> None:
    """Draw a panel with its heading, its colour bar or legend, and its axes."""
    muted = canvas.theme.muted
    heading(canvas, panel.title, panel.subtitle, left, top, WIDTH)
    if panel.colormap is None:
        canvas.text(left, top + 0.5, panel.legend, size=7.5, colour=muted, width=WIDTH)
    else:
        canvas.colour_bar(left, top + 0.44, 1.5, panel.colormap, panel.limits)
    x, y = left, top + _HEADER
    if panel.axes:
        x, y = left + _LABELS, y + _LABELS
        canvas.text(left, y - 0.25, panel.axes, size=7, colour=muted, width=WIDTH)
        _axis_numbers(canvas, panel, x, y)
    rows, columns = panel.image.shape[:2]
    image = panel.image
    if panel.colormap is None:
        empty = np.isnan(image).any(axis=-1, keepdims=True)
        image = np.where(empty, _rgb(canvas.theme.hole), image)
    box = (x, y, panel.width, panel.width * rows / columns)
    gaps = canvas.theme.hole
    canvas.image(box, image, colormap=panel.colormap, limits=panel.limits, gaps=gaps, frame=True)


def _axis_numbers(canvas: Canvas, panel: Panel, left: float, top: float) -> None:
    """Number as many rows and columns as there is room for."""
    down, across = panel.shape
    rows, columns = panel.image.shape[:2]
    height = panel.width * rows / columns
    for count, length, vertical in ((down, height, True), (across, panel.width, False)):
        step = next(s for s in (1, 2, 4, 8, 16, 32, 64, 1 << 20) if s * length / count >= 0.2)
        for k in range(0, count, step):
            middle = (k + 0.5) * length / count
            x, y = (left - 0.06, top + middle) if vertical else (left + middle, top - 0.09)
            canvas.text(x, y, str(k), size=6, colour=canvas.theme.muted,
                        align="right" if vertical else "center")  # fmt: skip


def _rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
