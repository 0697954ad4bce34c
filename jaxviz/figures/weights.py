"""Filter weights: the kernels of a network's convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from jaxviz.errors import ConfigError, LayerError
from jaxviz.figures.kernels import Kernel, kernels
from jaxviz.figures.look import MARGIN, Look
from jaxviz.figures.style import Theme
from jaxviz.figures.text import line_height, wrap
from jaxviz.figures.weight_panels import (
    NORMALISATIONS,
    VIEWS,
    WIDTH,
    Normalise,
    Panel,
    View,
    draw_panel,
    panel_of,
)
from jaxviz.model import Model

_BETWEEN = 0.5


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

    Filters of three input channels are images in colour, with grey for zero. Filters of one channel
    are maps, 1×1 kernels a table, and others a small map for each filter and input channel.

    Args:
        model: The network.
        layers: Globs over names of convolutions; by default up to six, evenly spread.
        before: The network before training, shown beside it on the same scale.
        view: `auto`; `channels` for a map of each input channel; `norms` for a table of the
            kernels' Euclidean lengths.
        normalise: `symmetric` for ± the layer's largest weight; `layer` for its smallest to
            its largest; `filter` for ± each filter's own largest.
        heads: Names of the two networks where `before` is given.
        theme: `light` or `dark`.
        title: Text above everything.
        fig: Draw into this figure or subfigure, scaled to fit.
        ax: Draw into this axes, scaled to fit.

    Returns:
        The figure.

    Raises:
        LayerError: If a layer does not exist or has no kernel, or differs in `before`.
        ConfigError: If there is no such view or normalisation.

    Example:
        >>> import jaxviz
        >>> model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
        >>> figure = filter_weights(model, layers=["conv1"])
    """
    look = Look.of(theme, title, fig, ax)
    for noun, value, known in (("view", view, VIEWS), ("normalisation", normalise, NORMALISATIONS)):
        if value not in known:
            raise ConfigError(
                f"there is no {noun} {value!r} of weights", hint=f"There are: {', '.join(known)}."
            )
    trained = kernels(model, layers)
    earlier = None if before is None else _matching(before, trained)
    rows = _rows(trained, earlier, heads, view, normalise, look.theme)
    return _draw(rows, _notes(view, normalise, before is not None), look)


def _rows(
    trained: Sequence[Kernel],
    earlier: Sequence[Kernel] | None,
    heads: tuple[str, str],
    view: View,
    normalise: Normalise,
    theme: Theme,
) -> list[list[Panel]]:
    if earlier is None:
        panels = [panel_of(kernel, [kernel], view, normalise, theme) for kernel in trained]
        across = 1 if len(panels) == 1 else 2 if len(panels) <= 6 else 3
        return [panels[i : i + across] for i in range(0, len(panels), across)]
    return [
        [
            panel_of(kernel, pair, view, normalise, theme, head)
            for kernel, head in zip(pair, heads, strict=True)
        ]
        for pair in zip(earlier, trained, strict=True)
    ]


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


def _notes(view: View, normalise: Normalise, pairs: bool) -> list[str]:
    scale = {
        "symmetric": "A layer's colours go evenly from minus to plus its largest weight.",
        "layer": "A layer's colours go from its smallest to its largest weight.",
        "filter": "Each filter has a scale of its own, even about zero: strengths do not compare.",
    }[normalise]
    if view == "norms":
        scale += " Lengths go from zero to the layer's longest kernel."
    shared = "Both columns have the same scale." if pairs and normalise != "filter" else ""
    return [scale, shared]


def _draw(rows: Sequence[Sequence[Panel]], notes: Sequence[str], look: Look) -> Figure:
    across = max(len(row) for row in rows)
    width = 2 * MARGIN + across * WIDTH + (across - 1) * _BETWEEN
    lines = wrap(" ".join(note for note in notes if note), width - 2 * MARGIN)
    heights = [max(panel.height for panel in row) + 0.3 for row in rows]
    foot = len(lines) * line_height(7.5)
    canvas = look.page(width, look.top + sum(heights) + foot + MARGIN)
    y = look.top
    for row, height in zip(rows, heights, strict=True):
        for place, panel in enumerate(row):
            draw_panel(canvas, panel, MARGIN + place * (WIDTH + _BETWEEN), y)
        y += height
    canvas.paragraph(MARGIN, y, lines)
    return canvas.figure
