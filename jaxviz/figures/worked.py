"""Grids of numbers, as worked examples show them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import to_hex, to_rgb
from numpy.typing import ArrayLike

from jaxviz.errors import ConfigError
from jaxviz.figures.canvas import Canvas
from jaxviz.figures.style import Theme

CELL = 0.42
#: Room for title and note above a grid, in inches.
TITLE_ROOM = 0.55
#: Larger grids cannot be read on a page.
MOST_CELLS = 16
_SIZE = 9.5
# Opacity of the strongest tint, on which numbers stay readable.
_TINT = 0.6


def draw_numbers(
    canvas: Canvas,
    left: float,
    top: float,
    values: np.ndarray,
    *,
    title: str = "",
    note: str = "",
    most: float | None = None,
    grey: bool = False,
    outside: np.ndarray | None = None,
    fills: Mapping[tuple[int, int], str] | None = None,
) -> None:
    """Draw a grid of numbers tinted by their values: orange above zero, blue below.

    Args:
        canvas: The page.
        left: Left end of the grid, in inches.
        top: Top of the grid in inches; title and note are above it.
        values: [row, column]; NaN leaves a cell empty.
        title: Text above the grid.
        note: Small print below the title.
        most: Magnitude with the strongest tint; by default the largest of the values.
        grey: Tint with grey, as for an image.
        outside: [row, column], true for cells of padding, which are dashed.
        fills: {(row, column): background}. These numbers are bold, and no other cell is tinted.
    """
    theme = canvas.theme
    width = values.shape[1] * CELL
    canvas.text(left, top - 0.33, title, size=10, bold=True, width=max(width, 1.1))
    canvas.text(left, top - 0.14, note, size=7.5, colour=theme.muted, width=max(width, 1.1))
    most = most or float(np.abs(np.nan_to_num(values)).max()) or 1.0
    for (row, column), value in np.ndenumerate(values):
        x, y = left + column * CELL, top + row * CELL
        padded = outside is not None and bool(outside[row, column])
        empty = not np.isfinite(value)
        chosen = None if fills is None else fills.get((row, column))
        fill = chosen or theme.page
        if fills is None and not (padded or empty):
            fill = tint(theme, float(value) / most, grey=grey)
        canvas.rectangle(x, y, CELL, CELL, fill=fill, line=theme.line, thickness=0.7, dashed=padded)
        if not empty:
            ink = theme.muted if padded else theme.text
            canvas.text(
                x + CELL / 2, y + CELL / 2, short(float(value)),
                size=_SIZE, colour=ink, bold=chosen is not None, align="center", width=0.88 * CELL,
            )  # fmt: skip


def draw_window(
    canvas: Canvas,
    left: float,
    top: float,
    rows: slice,
    columns: slice,
    colour: str,
    *,
    inset: float = 0.0,
) -> None:
    """Outline cells of a grid that begins at (left, top); slices with steps outline each cell."""
    step_down, step_right = rows.step or 1, columns.step or 1
    separate = step_down > 1 or step_right > 1
    if not separate:
        canvas.rectangle(
            left + columns.start * CELL + inset,
            top + rows.start * CELL + inset,
            (columns.stop - columns.start) * CELL - 2 * inset,
            (rows.stop - rows.start) * CELL - 2 * inset,
            line=colour,
            thickness=2.2,
        )
        return
    for row in range(rows.start, rows.stop, step_down):
        for column in range(columns.start, columns.stop, step_right):
            canvas.rectangle(
                left + column * CELL + 0.02, top + row * CELL + 0.02, CELL - 0.04, CELL - 0.04,
                line=colour, thickness=2.0,
            )  # fmt: skip


def sign(canvas: Canvas, x: float, y: float, symbol: str) -> None:
    """Draw an operator between two grids, or a word above an arrow."""
    if len(symbol) == 1:
        canvas.text(x, y, symbol, size=17, colour=canvas.theme.muted, align="center")
        return
    canvas.text(x, y - 0.13, symbol, size=7.5, colour=canvas.theme.muted, align="center")
    canvas.arrow((x - 0.19, y), (x + 0.19, y))


def tint(theme: Theme, share: float, *, grey: bool = False) -> str:
    """A background for a number: the page at 0, the strongest tint at −1 and 1.

    Example:
        >>> from jaxviz.figures.style import get_theme
        >>> tint(get_theme("light"), 0.0)
        '#ffffff'
    """
    full = theme.faint if grey else theme.accent if share > 0 else theme.second
    part = _TINT * min(abs(share), 1.0) * (1.5 if grey else 1.0)
    page = np.array(to_rgb(theme.page))
    return to_hex(page + part * (np.array(to_rgb(full)) - page))


def short(value: float) -> str:
    """A number as a grid shows it, with at most two decimal places.

    Example:
        >>> short(3.0), short(-0.5), short(1 / 3)
        ('3', '−0.5', '0.33')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return ("0" if text == "-0" else text).replace("-", "−")


def check_grid(name: str, values: ArrayLike) -> np.ndarray:
    """The values as float64 [row, column].

    Args:
        name: The name of the grid in an error message.
        values: Rows of numbers.

    Raises:
        ConfigError: If they are not a grid of finite numbers that fits on a page.

    Example:
        >>> check_grid("kernel", [[1, 0], [0, 1]]).shape
        (2, 2)
    """
    try:
        grid = np.asarray(values, np.float64)
    except (ValueError, TypeError):
        raise ConfigError(f"the {name} is not a grid of numbers") from None
    if grid.ndim != 2 or 0 in grid.shape or not np.isfinite(grid).all():
        raise ConfigError(
            f"the {name} has shape {grid.shape}, expected rows and columns of numbers"
        )
    if max(grid.shape) > MOST_CELLS:
        raise ConfigError(
            f"the {name} is {grid.shape[0]} by {grid.shape[1]}: too large to read",
            hint=f"A worked example takes at most {MOST_CELLS} by {MOST_CELLS} numbers.",
        )
    return grid
