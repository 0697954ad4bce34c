"""Pooling by hand: a small grid of numbers, its windows, and both results."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import ArrayLike

from jaxviz.errors import ConfigError
from jaxviz.figures.canvas import Canvas
from jaxviz.figures.pooling import KINDS, pooled
from jaxviz.figures.style import Theme, get_theme
from jaxviz.figures.text import line_height, wrap
from jaxviz.figures.worked import (
    CELL,
    TITLE_ROOM,
    check_grid,
    draw_numbers,
    draw_window,
    sign,
    tint,
)
from jaxviz.spec import Pool

#: Numbers whose windows have clear winners, some of them far above the rest.
EXAMPLE_MAP = (
    (1, 3, 0, 2, 5, 1),
    (0, 8, 1, 1, 2, 4),
    (2, 0, 6, 7, 0, 0),
    (1, 1, 5, 2, 0, 9),
    (4, 2, 0, 1, 3, 3),
    (0, 6, 2, 0, 1, 2),
)
_CAPTION = (
    "The maximum keeps the strongest answer of each window, wherever in it that was. The "
    "average keeps the mean, so a single strong answer fades."
)
_MARGIN = 0.3
_GAP = 0.75
_BETWEEN = 0.4


def pooling_example(
    values: ArrayLike | None = None,
    *,
    window: int = 2,
    stride: int | None = None,
    theme: str | Theme = "light",
    fig: Figure | SubFigure | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Pooling by hand: the windows on a grid of numbers, the numbers chosen, both results.

    Where windows overlap, only the first two are drawn.

    Args:
        values: [row, column]; by default an example.
        window: Side of the window in cells.
        stride: Cells from one window to the next; by default the window's side.
        theme: `light` or `dark`.
        fig: Draw into this figure or subfigure, scaled to fit.
        ax: Draw into this axes, scaled to fit.

    Returns:
        The figure.

    Raises:
        ConfigError: If the window does not fit the grid, or the grid is not one.

    Example:
        >>> figure = pooling_example([[1, 2], [3, 4]])
    """
    look = get_theme(theme)
    grid = check_grid("map", EXAMPLE_MAP if values is None else values)
    stride = window if stride is None else stride
    if min(window, stride) < 1 or window > min(grid.shape):
        raise ConfigError(
            f"a window of {window} with stride {stride} does not fit a map of "
            f"{grid.shape[0]}×{grid.shape[1]}"
        )
    results = _results(grid, window, stride)
    rows, columns = results["max"].shape
    places = list(np.ndindex(rows, columns))
    if stride < window:
        places = places[: min(2, columns)]
    colours = {at: look.accent if sum(at) % 2 == 0 else look.second for at in places}
    canvas = _page(grid, columns, window, stride, look, fig, ax)
    top = _MARGIN + 0.3 + TITLE_ROOM
    _draw_grid(canvas, grid, colours, window, stride, top)
    _draw_results(canvas, results, places, top + grid.shape[0] * CELL / 2, _widths(grid, columns))
    return canvas.figure


def _results(grid: np.ndarray, window: int, stride: int) -> dict[str, np.ndarray]:
    op = Pool(kind="max", window=(window,) * 2, strides=(stride,) * 2, padding="valid")
    return {kind: pooled(grid[None, ..., None], op, kind)[0, ..., 0] for kind in KINDS}


def _widths(grid: np.ndarray, columns: int) -> tuple[float, float]:
    """Widths of the grid and of a result, in inches."""
    return max(grid.shape[1] * CELL, 1.1), max(columns * CELL, 1.1)


def _page(
    grid: np.ndarray,
    columns: int,
    window: int,
    stride: int,
    theme: Theme,
    fig: Figure | SubFigure | None,
    ax: Axes | None,
) -> Canvas:
    """A page with heading and caption, large enough for the grid and both results."""
    first, other = _widths(grid, columns)
    width = 2 * _MARGIN + first + 2 * other + _GAP + _BETWEEN
    text = _CAPTION + (" Windows overlap here; the first two are drawn." if stride < window else "")
    caption = wrap(text, width - 2 * _MARGIN)
    foot = len(caption) * line_height(7.5)
    height = 2 * _MARGIN + 0.3 + TITLE_ROOM + grid.shape[0] * CELL + 0.2 + foot
    canvas = Canvas(width, height, theme, fig=fig, ax=ax)
    heading = f"Pooling over {window}×{window} windows, stride {stride}"
    canvas.text(_MARGIN, _MARGIN + 0.05, heading, size=13, bold=True, width=width - 2 * _MARGIN)
    canvas.paragraph(_MARGIN, height - _MARGIN - foot, caption)
    return canvas


def _draw_grid(
    canvas: Canvas,
    grid: np.ndarray,
    colours: dict[tuple[int, ...], str],
    window: int,
    stride: int,
    top: float,
) -> None:
    winners: dict[tuple[int, int], str] = {}
    for row, column in colours:
        y, x = row * stride, column * stride
        inside = grid[y : y + window, x : x + window]
        down, right = np.unravel_index(int(inside.argmax()), inside.shape)
        at = y + int(down), x + int(right)
        # A winner of two windows has neither's colour.
        winners[at] = canvas.theme.faint if at in winners else _soft(canvas.theme, (row, column))
    note = "×".join(map(str, grid.shape)) + ", largest of each window filled"
    draw_numbers(canvas, _MARGIN, top, grid, title="map", note=note, fills=winners)
    for (row, column), colour in colours.items():
        y, x = row * stride, column * stride
        inset = 0.03 if stride >= window else 0.0
        draw_window(
            canvas, _MARGIN, top, slice(y, y + window), slice(x, x + window), colour, inset=inset
        )


def _draw_results(
    canvas: Canvas,
    results: dict[str, np.ndarray],
    places: list[tuple[int, ...]],
    middle: float,
    widths: tuple[float, float],
) -> None:
    left = _MARGIN + widths[0] + _GAP
    sign(canvas, left - _GAP / 2, middle, "pool")
    fills = {(at[0], at[1]): _soft(canvas.theme, at) for at in places}
    for kind, values in results.items():
        top = middle - values.shape[0] * CELL / 2
        note = "×".join(map(str, values.shape))
        draw_numbers(canvas, left, top, values, title=kind, note=note, fills=fills)
        left += widths[1] + _BETWEEN


def _soft(theme: Theme, at: tuple[int, ...]) -> str:
    return tint(theme, 0.55 if sum(at) % 2 == 0 else -0.55)
