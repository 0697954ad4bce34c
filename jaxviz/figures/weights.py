"""Filter weights: what a network has learned, as it stands in its kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure, SubFigure

from jaxviz.errors import ConfigError, LayerError
from jaxviz.figures.canvas import Canvas, line_height, number, wrap
from jaxviz.figures.kernels import Kernel, columns_for, kernels, mosaic
from jaxviz.figures.rows import MARGIN, heading
from jaxviz.figures.style import Theme, get_theme
from jaxviz.model import Model

View = Literal["auto", "channels", "norms"]
Normalise = Literal["symmetric", "layer", "filter"]
VIEWS = ("auto", "channels", "norms")
NORMALISATIONS = ("symmetric", "layer", "filter")

_WIDTH = 4.0
_HIGHEST = 4.0
_BETWEEN = 0.5
_LABELS = 0.3
_HEADER = 0.78
_LARGEST_TILE = 0.72
_LARGEST_CELL = 0.2
# Of larger layers only the first are shown, and the subtitle says so.
_MOST_FILTERS = 64
_MOST_PAIRS = 16
_MOST_CELLS = 128


#: What runs down and what across, by whether filters do.
_DOWN = {False: "↓ filter   → input channel", True: "↓ input channel   → filter"}


@dataclass(frozen=True)
class _Panel:
    """One layer's weights as an image and what stands around it."""

    title: str
    subtitle: str
    image: np.ndarray
    #: Tiles (or cells) down and across.
    shape: tuple[int, int]
    tile: float
    limits: tuple[float, float]
    colormap: Colormap | None
    #: What runs down and across, where that is not filters alone.
    axes: str = ""
    legend: str = ""

    @property
    def height(self) -> float:
        """Inches."""
        rows, columns = self.image.shape[:2]
        return _HEADER + self.width * rows / columns + (_LABELS if self.axes else 0)

    @property
    def width(self) -> float:
        """Of the image, in inches."""
        rows, columns = self.image.shape[:2]
        widest = _WIDTH - (_LABELS if self.axes else 0)
        return min(widest, self.tile * self.shape[1], _HIGHEST * columns / rows)


def filter_weights(
    model: Model,
    *,
    layers: Sequence[str] = (),
    before: Model | None = None,
    view: View = "auto",
    normalise: Normalise = "symmetric",
    heads: tuple[str, str] = ("before", "after"),
    theme: str | Theme = "light",
    title: str = "",
    fig: Figure | SubFigure | None = None,
    ax: Axes | None = None,
) -> Figure:
    """The kernels of each layer.

    Filters over three input channels are shown in colour, with mid-grey for zero; over one
    channel, and depthwise ones, as single maps; 1×1 kernels as a table of filters by input
    channels; others as a small map for each filter (row) and input channel (column).

    Args:
        model: The network.
        layers: Globs over names of convolutions; up to six, evenly spread, where left out.
        before: The same network before training, shown beside it on the same scale.
        view: `auto` as above; `channels` splits colour filters into their channels too;
            `norms` shows the length of each kernel in a table of filters by input channels.
        normalise: `symmetric`: from minus to plus the largest weight of the layer. `layer`:
            from its smallest to its largest. `filter`: symmetric for each filter by itself, so
            that weak filters show their form; strengths then do not compare.
        heads: What the two networks are called where there is a `before`.
        theme: `light` or `dark`.
        title: Above everything.
        fig: Draw into this figure or subfigure, scaled to fit.
        ax: Draw into this axes, scaled to fit.

    Raises:
        LayerError: If a layer does not exist or has no kernel, or differs in `before`.

    Example:
        >>> import jaxviz
        >>> model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
        >>> bool(filter_weights(model, layers=["conv1"]).get_size_inches()[1] > 1)
        True
    """
    look = get_theme(theme)
    for what, value, known in (("view", view, VIEWS), ("normalisation", normalise, NORMALISATIONS)):
        if value not in known:
            raise ConfigError(
                f"there is no {what} {value!r} of weights", hint=f"There are: {', '.join(known)}."
            )
    trained = kernels(model, layers)
    if before is None:
        panels = [_panel(kernel, [kernel], view, normalise, look) for kernel in trained]
        across = 1 if len(panels) == 1 else 2 if len(panels) <= 6 else 3
    else:
        panels, across = [], 2
        for first, second in zip(_matching(before, trained), trained, strict=True):
            for kernel, head in ((first, heads[0]), (second, heads[1])):
                panels.append(_panel(kernel, [first, second], view, normalise, look, head))
    rows = [panels[i : i + across] for i in range(0, len(panels), across)]
    return _draw(rows, _notes(view, normalise, before is not None), look, title, fig=fig, ax=ax)


def _matching(before: Model, trained: Sequence[Kernel]) -> tuple[Kernel, ...]:
    found = {kernel.name: kernel for kernel in kernels(before, (), most=1 << 30)}
    problems = []
    for kernel in trained:
        other = found.get(kernel.name)
        if other is None:
            problems.append(f"{kernel.name}: not in the network from before")
        elif other.values.shape != kernel.values.shape:
            problems.append(f"{kernel.name}: {other.size} before, {kernel.size} after")
    if problems:
        raise LayerError("these are not the same network before and after", details=problems)
    return tuple(found[kernel.name] for kernel in trained)


def _notes(view: str, normalise: str, pairs: bool) -> list[str]:
    scale = {
        "symmetric": "A layer's colours go evenly from minus to plus its largest weight.",
        "layer": "A layer's colours go from its smallest to its largest weight.",
        "filter": "Each filter has a scale of its own, even about zero: strengths do not compare.",
    }[normalise]
    if view == "norms":
        scale += " Lengths go from zero to the layer's longest kernel."
    shared = "Both columns have the same scale." if pairs and normalise != "filter" else ""
    return [scale, shared]


def _panel(
    kernel: Kernel,
    together: Sequence[Kernel],
    view: str,
    normalise: str,
    theme: Theme,
    head: str = "",
) -> _Panel:
    """The panel of one kernel, on a scale that holds all of `together`."""
    inputs = kernel.values.shape[2]
    if view == "norms" and not kernel.depthwise and inputs > 1:
        return _table(kernel, together, "norms", normalise, theme, head)
    if kernel.pointwise and not kernel.depthwise:
        return _table(kernel, together, "weights", normalise, theme, head)
    if inputs == 3 and view == "auto":
        return _colour(kernel, together, normalise, head)
    return _maps(kernel, together, normalise, theme, head)


def _colour(kernel: Kernel, together: Sequence[Kernel], normalise: str, head: str) -> _Panel:
    low, high = _limits(together, normalise)
    shown = min(kernel.values.shape[3], _MOST_FILTERS)
    values = _normalised(kernel.values, normalise)[..., :shown]
    tiles = np.moveaxis((values - low) / (high - low), -1, 0)
    columns = columns_for(shown)
    zero = "grey is zero" if normalise != "layer" else "black is the smallest, white the largest"
    span = "" if normalise == "filter" else f", {number(low)} to {number(high)}"
    return _Panel(
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
    kernel: Kernel, together: Sequence[Kernel], normalise: str, theme: Theme, head: str
) -> _Panel:
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
    return _Panel(
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
    what: str,
    normalise: str,
    theme: Theme,
    head: str,
) -> _Panel:
    if what == "norms":
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
    return _Panel(
        title=kernel.name,
        subtitle=f"{subtitle} · {'length of each kernel' if what == 'norms' else 'weights'}",
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


def _limits(together: Sequence[Kernel], normalise: str) -> tuple[float, float]:
    if normalise == "filter":
        return -1.0, 1.0
    low = min(float(k.values.min()) for k in together)
    high = max(float(k.values.max()) for k in together)
    if normalise == "layer":
        return (low, high) if low < high else (low, low + 1.0)
    reach = max(-low, high) or 1.0
    return -reach, reach


def _normalised(values: np.ndarray, normalise: str) -> np.ndarray:
    if normalise != "filter":
        return values
    reach = np.abs(values).max(axis=(0, 1, 2))
    return values / np.where(reach > 0, reach, 1.0)


def _draw(
    rows: Sequence[Sequence[_Panel]],
    notes: Sequence[str],
    theme: Theme,
    title: str,
    *,
    fig: Figure | SubFigure | None,
    ax: Axes | None,
) -> Figure:
    across = max(len(row) for row in rows)
    width = 2 * MARGIN + across * _WIDTH + (across - 1) * _BETWEEN
    lines = wrap(" ".join(note for note in notes if note), width - 2 * MARGIN)
    top = MARGIN + (0.36 if title else 0.0)
    heights = [max(panel.height for panel in row) + 0.3 for row in rows]
    foot = len(lines) * line_height(7.5)
    canvas = Canvas(width, top + sum(heights) + foot + MARGIN, theme, fig=fig, ax=ax)
    if title:
        canvas.text(MARGIN, MARGIN + 0.05, title, size=13, bold=True, width=width - 2 * MARGIN)
    y = top
    for row, height in zip(rows, heights, strict=True):
        for place, panel in enumerate(row):
            _draw_panel(canvas, panel, MARGIN + place * (_WIDTH + _BETWEEN), y)
        y += height
    canvas.paragraph(MARGIN, y, lines)
    return canvas.figure


def _draw_panel(canvas: Canvas, panel: _Panel, left: float, top: float) -> None:
    muted = canvas.theme.muted
    heading(canvas, panel.title, panel.subtitle, left, top, _WIDTH)
    if panel.colormap is None:
        canvas.text(left, top + 0.5, panel.legend, size=7.5, colour=muted, width=_WIDTH)
    else:
        canvas.colour_bar(left, top + 0.44, 1.5, panel.colormap, panel.limits)
    x, y = left, top + _HEADER
    if panel.axes:
        x, y = left + _LABELS, y + _LABELS
        canvas.text(left, y - 0.25, panel.axes, size=7, colour=muted, width=_WIDTH)
        _axis_numbers(canvas, panel, x, y)
    rows, columns = panel.image.shape[:2]
    image = panel.image
    if panel.colormap is None:
        empty = np.isnan(image).any(axis=-1, keepdims=True)
        image = np.where(empty, _rgb(canvas.theme.hole), image)
    box = (x, y, panel.width, panel.width * rows / columns)
    gaps = canvas.theme.hole
    canvas.image(box, image, colormap=panel.colormap, limits=panel.limits, gaps=gaps, frame=True)


def _axis_numbers(canvas: Canvas, panel: _Panel, left: float, top: float) -> None:
    """Numbers of some rows and columns, as many as there is room for."""
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
