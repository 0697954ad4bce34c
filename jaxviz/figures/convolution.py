"""One step of a convolution: window, kernel, products, sum, and the output cell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import ArrayLike

from jaxviz.errors import ConfigError
from jaxviz.figures.canvas import Canvas
from jaxviz.figures.convolve import Padding, Worked, worked_example
from jaxviz.figures.style import Theme, get_theme
from jaxviz.figures.text import line_height, wrap
from jaxviz.figures.worked import CELL, TITLE_ROOM, draw_numbers, draw_window, short, sign

_GAP = 0.5
_MARGIN = 0.3
_CAPTION = 7.5


def convolution_example(
    image: ArrayLike | None = None,
    kernel: ArrayLike | None = None,
    *,
    stride: int = 1,
    padding: Padding = "valid",
    dilation: int = 1,
    step: int | None = None,
    theme: str | Theme = "light",
    fig: Figure | SubFigure | None = None,
    ax: Axes | None = None,
) -> Figure:
    """One step of a convolution: window, kernel, products, sum, and the output cell.

    Args:
        image: [row, column]; by default a small one with edges.
        kernel: [row, column]; by default the vertical edge detector.
        stride: Cells from one window to the next.
        padding: `valid` or `same`.
        dilation: Cells from one element of the window to the next.
        step: Number of the output cell in reading order; later cells are empty. By default
            the output is complete and its strongest cell is explained.
        theme: `light` or `dark`.
        fig: Draw into this figure or subfigure, scaled to fit.
        ax: Draw into this axes, scaled to fit.

    Returns:
        The figure.

    Raises:
        ConfigError: If the kernel does not fit into the image, or an option is wrong.

    Example:
        >>> figure = convolution_example(stride=2, padding="same", step=3)
    """
    worked = worked_example(image, kernel, stride=stride, padding=padding, dilation=dilation)
    last = worked.output.size - 1
    if step is not None and not 0 <= step <= last:
        raise ConfigError(f"there is no step {step}: this convolution has 0 to {last}")
    return draw_step(worked, padding, step, get_theme(theme), fig, ax)


def draw_step(
    worked: Worked,
    padding: Padding,
    step: int | None,
    theme: Theme,
    fig: Figure | SubFigure | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw one step of a convolution; see `convolution_example`."""
    canvas = _page(worked, padding, theme, fig, ax)
    _draw(canvas, worked, step)
    return canvas.figure


def _page(
    worked: Worked,
    padding: Padding,
    theme: Theme,
    fig: Figure | SubFigure | None = None,
    ax: Axes | None = None,
) -> Canvas:
    """An empty page with the heading, large enough for all grids and the longest sum."""
    widths = [g.shape[1] for g in (worked.padded, worked.kernel, worked.kernel, worked.output)]
    width = 2 * _MARGIN + sum(max(n * CELL, 1.1) for n in widths) + 3 * _GAP
    longest = max((_sum(worked, *at) for at in np.ndindex(*worked.output.shape)), key=len)
    lines = len(wrap(longest, width - 2 * _MARGIN, 9))
    tallest = max(worked.padded.shape[0], worked.kernel.shape[0], worked.output.shape[0])
    height = 2 * _MARGIN + 0.4 + TITLE_ROOM + tallest * CELL + 0.2
    height += lines * line_height(9) + 2 * line_height(_CAPTION)
    canvas = Canvas(width, height, theme, fig=fig, ax=ax)
    size = "×".join(map(str, worked.kernel.shape))
    title = f"Convolution with a {size} kernel"
    canvas.text(_MARGIN, _MARGIN + 0.05, title, size=13, bold=True, width=width - 2 * _MARGIN)
    note = f"stride {worked.stride} · padding {padding} · dilation {worked.dilation}"
    canvas.text(_MARGIN, _MARGIN + 0.27, note, size=8, colour=theme.muted)
    caption = "The kernel is laid over the image as it is, not flipped, as all deep learning does."
    if worked.outside.any():
        caption += " Dashed cells are padding: zeros around the image."
    lines_ = wrap(caption, width - 2 * _MARGIN, _CAPTION)[:2]
    canvas.paragraph(_MARGIN, height - _MARGIN - len(lines_) * line_height(_CAPTION), lines_)
    return canvas


def _draw(canvas: Canvas, worked: Worked, step: int | None) -> None:
    theme = canvas.theme
    shown = worked.output.copy()
    if step is None:
        step = int(np.argmax(np.abs(worked.output)))
    else:
        shown.ravel()[step + 1 :] = np.nan
    row, column = (int(n) for n in np.unravel_index(step, worked.output.shape))
    top = _MARGIN + 0.4 + TITLE_ROOM
    tallest = max(worked.padded.shape[0], worked.kernel.shape[0], worked.output.shape[0])
    middle = top + tallest * CELL / 2
    most = float(np.abs(worked.output).max()) or 1.0
    products = worked.products(row, column)
    strongest = float(np.abs(worked.kernel).max() * np.abs(worked.padded).max()) or 1.0
    here = slice(row, row + 1), slice(column, column + 1)
    inner = (~worked.outside).any(axis=1).sum(), (~worked.outside).any(axis=0).sum()
    padded = f"{inner[0]}×{inner[1]}, padded to " if worked.outside.any() else ""
    grey = worked.padded.min() >= 0
    parts = (
        _Part("image", worked.padded, "×", worked.window(row, column), padded,
              grey=bool(grey), outside=worked.outside),
        _Part("kernel", worked.kernel, "="),
        _Part("products", products, "sum", most=strongest),
        _Part("output", shown, "", here, most=most),
    )  # fmt: skip
    left = _MARGIN
    for part in parts:
        left += _draw_part(canvas, part, left, middle) + _GAP
    under = top + tallest * CELL + 0.2
    for i, line in enumerate(wrap(_sum(worked, row, column), canvas.width - 2 * _MARGIN, 9)):
        canvas.text(_MARGIN, under + (i + 0.5) * line_height(9), line, size=9, colour=theme.accent)


class _Part(NamedTuple):
    """A grid of the figure, with the operator behind it and the cells that are framed."""

    name: str
    values: np.ndarray
    symbol: str
    window: tuple[slice, slice] | None = None
    note: str = ""
    most: float | None = None
    grey: bool = False
    outside: np.ndarray | None = None


def _draw_part(canvas: Canvas, part: _Part, left: float, middle: float) -> float:
    """Draw a grid whose middle is at this height; returns its width in inches."""
    rows, columns = part.values.shape
    width, top = max(columns * CELL, 1.1), middle - rows * CELL / 2
    draw_numbers(
        canvas, left, top, part.values, title=part.name, note=f"{part.note}{rows}×{columns}",
        most=part.most, grey=part.grey, outside=part.outside,
    )  # fmt: skip
    if part.window:
        draw_window(canvas, left, top, *part.window, canvas.theme.accent)
    if part.symbol:
        sign(canvas, left + width + _GAP / 2, middle, part.symbol)
    return width


def _sum(worked: Worked, row: int, column: int) -> str:
    cells = worked.padded[worked.window(row, column)]
    terms = [
        f"{short(float(x))}·{_bracketed(float(w))}"
        for x, w in zip(cells.ravel(), worked.kernel.ravel(), strict=True)
    ]
    return f"{' + '.join(terms)} = {short(float(worked.output[row, column]))}"


def _bracketed(value: float) -> str:
    return f"({short(value)})" if value < 0 else short(value)
