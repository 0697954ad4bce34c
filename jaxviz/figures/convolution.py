"""Convolution step by step: a small kernel over a small image, every number shown."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from PIL import Image

from jaxviz.errors import ConfigError
from jaxviz.figures.canvas import Canvas, line_height, wrap
from jaxviz.figures.style import Theme, check_output, get_theme
from jaxviz.figures.worked import (
    CELL,
    TITLE_ROOM,
    check_grid,
    draw_numbers,
    draw_window,
    short,
    sign,
)
from jaxviz.model.ops.windows import same_padding, window_counts

#: Kernels by name.
KERNELS: dict[str, tuple[tuple[float, ...], ...]] = {
    "vertical-edge": ((1, 0, -1), (1, 0, -1), (1, 0, -1)),
    "horizontal-edge": ((1, 1, 1), (0, 0, 0), (-1, -1, -1)),
    "outline": ((-1, -1, -1), (-1, 8, -1), (-1, -1, -1)),
    "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
    "mean": ((0.25, 0.25), (0.25, 0.25)),
}
#: A bright bar on a dark ground, with a kink: edges in several directions.
EXAMPLE_IMAGE = (
    (0, 0, 8, 8, 0, 0),
    (0, 0, 8, 8, 0, 0),
    (0, 0, 8, 8, 1, 0),
    (0, 4, 8, 8, 4, 0),
    (0, 4, 4, 4, 4, 0),
    (0, 0, 1, 1, 0, 0),
)
_GAP = 0.5
_MARGIN = 0.3
_CAPTION = 7.5
_LAST_FRAME = 2.5  # seconds that the finished picture stands


@dataclass(frozen=True)
class Worked:
    """A convolution done by hand.

    Attributes:
        padded: The image with its border of zeros, [row, column].
        outside: True for the border, [row, column].
        kernel: [row, column].
        output: [row, column].
        stride: Cells that the window moves.
        dilation: Cells between the window's elements.
    """

    padded: np.ndarray
    outside: np.ndarray
    kernel: np.ndarray
    output: np.ndarray
    stride: int
    dilation: int

    def window(self, row: int, column: int) -> tuple[slice, slice]:
        """The cells of `padded` that an output cell is made of."""
        height, width = ((n - 1) * self.dilation + 1 for n in self.kernel.shape)
        top, left = row * self.stride, column * self.stride
        return slice(top, top + height, self.dilation), slice(left, left + width, self.dilation)

    def products(self, row: int, column: int) -> np.ndarray:
        """What is summed for an output cell."""
        return self.padded[self.window(row, column)] * self.kernel


def convolve(
    image: np.ndarray,
    kernel: np.ndarray,
    *,
    stride: int = 1,
    padding: Literal["valid", "same"] = "valid",
    dilation: int = 1,
) -> Worked:
    """Slide a kernel over an image as Keras does, keeping every intermediate number.

    Args:
        image: [row, column].
        kernel: [row, column]; it is not flipped.
        stride: Cells that the window moves at a time.
        padding: `valid`: the window stays inside. `same`: a border of zeros is added by
            TensorFlow's rule, so that at stride 1 the output is as large as the image.
        dilation: 2 reads every second cell.

    Raises:
        ConfigError: If the kernel does not fit into the image, or an option is wrong.

    Example:
        >>> convolve([[1, 2], [3, 4]], [[1, 0], [0, 1]]).output.tolist()
        [[5.0]]
    """
    image, kernel = check_grid("image", image), check_grid("kernel", kernel)
    if padding not in ("valid", "same"):
        raise ConfigError(f"there is no padding {padding!r}", hint="There are: valid, same.")
    if min(stride, dilation) < 1:
        raise ConfigError(f"stride {stride} and dilation {dilation} must be at least 1")
    steps, spread, window = (stride, stride), (dilation, dilation), kernel.shape
    border = ((0, 0), (0, 0))
    if padding == "same":
        border = same_padding(image.shape, window, steps, spread)  # type: ignore[assignment]
    rows, columns = window_counts(image.shape, window, steps, spread, border)
    if min(rows, columns) < 1:
        reach = "×".join(str((n - 1) * dilation + 1) for n in window)
        size = "×".join(map(str, image.shape))
        raise ConfigError(
            f"a window of {reach} does not fit into an image of {size}",
            hint="Take a larger image, a smaller dilation, or padding same.",
        )
    padded = np.pad(image, border)
    outside = np.pad(np.zeros(image.shape, bool), border, constant_values=True)
    worked = Worked(padded, outside, kernel, np.zeros((rows, columns)), stride, dilation)
    for row, column in np.ndindex(rows, columns):
        worked.output[row, column] = worked.products(row, column).sum()
    return worked


def convolution_example(
    image: np.ndarray | None = None,
    kernel: np.ndarray | None = None,
    *,
    stride: int = 1,
    padding: Literal["valid", "same"] = "valid",
    dilation: int = 1,
    step: int | None = None,
    theme: str | Theme = "light",
    fig: Figure | SubFigure | None = None,
    ax: Axes | None = None,
) -> Figure:
    """One step of a convolution: window, kernel, products, sum, and where it goes.

    Args:
        image: [row, column]; a small one with edges where left out.
        kernel: [row, column]; the vertical edge detector where left out.
        stride: See `convolve`.
        padding: See `convolve`.
        dilation: See `convolve`.
        step: Number of the output cell, in reading order, with later cells still empty.
            Where left out, the output is complete and its strongest cell is explained.
        theme: `light` or `dark`.
        fig: Draw into this figure or subfigure, scaled to fit.
        ax: Draw into this axes, scaled to fit.

    Example:
        >>> figure = convolution_example(stride=2, padding="same", step=3)
    """
    worked = _worked(image, kernel, stride=stride, padding=padding, dilation=dilation)
    last = worked.output.size - 1
    if step is not None and not 0 <= step <= last:
        raise ConfigError(f"there is no step {step}: this convolution has 0 to {last}")
    canvas = _page(worked, padding, get_theme(theme), fig, ax)
    _draw(canvas, worked, step)
    return canvas.figure


def convolution_animation(
    path: str | os.PathLike[str],
    image: np.ndarray | None = None,
    kernel: np.ndarray | None = None,
    *,
    stride: int = 1,
    padding: Literal["valid", "same"] = "valid",
    dilation: int = 1,
    theme: str | Theme = "light",
    seconds: float = 0.7,
    dpi: int = 100,
) -> Path:
    """Write the worked example as an animated GIF: the window moves, the output grows.

    Args:
        path: Ends in .gif.
        image: See `convolution_example`.
        kernel: See `convolution_example`.
        stride: See `convolve`.
        padding: See `convolve`.
        dilation: See `convolve`.
        theme: `light` or `dark`.
        seconds: For each step.
        dpi: Pixels per inch.

    Returns:
        The path.

    Raises:
        ConfigError: If the file cannot be written or an option is wrong.
    """
    path = check_output(path, (".gif",))
    worked = _worked(image, kernel, stride=stride, padding=padding, dilation=dilation)
    look = get_theme(theme)
    steps = worked.output.size
    pictures = []
    for step in range(steps):
        canvas = _page(worked, padding, look)
        _draw(canvas, worked, step)
        pictures.append(_pixels(canvas.figure, dpi))
    frames = _indexed(pictures)
    held = [round(1000 * seconds)] * (steps - 1) + [round(1000 * max(seconds, _LAST_FRAME))]
    try:
        frames[0].save(
            path, save_all=True, append_images=frames[1:], duration=held, loop=0, optimize=True
        )
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    return path


def parse_grid(text: str) -> np.ndarray:
    """Read a grid of numbers: rows between semicolons, or the name of a kernel.

    Raises:
        ConfigError: If it is neither.

    Example:
        >>> parse_grid("1 0; 0 -1").tolist()
        [[1.0, 0.0], [0.0, -1.0]]
    """
    if text in KERNELS:
        return np.array(KERNELS[text], np.float64)
    try:
        rows = [[float(n) for n in row.replace(",", " ").split()] for row in text.split(";")]
        return np.array(rows, np.float64)
    except ValueError:
        raise ConfigError(
            f"{text!r} is not a grid of numbers",
            hint=f'Expected rows such as "1 0 -1; 1 0 -1", or one of: {", ".join(KERNELS)}.',
        ) from None


def _page(
    worked: Worked,
    padding: str,
    look: Theme,
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
    canvas = Canvas(width, height, look, fig=fig, ax=ax)
    size = "×".join(map(str, worked.kernel.shape))
    title = f"Convolution with a {size} kernel"
    canvas.text(_MARGIN, _MARGIN + 0.05, title, size=13, bold=True, width=width - 2 * _MARGIN)
    note = f"stride {worked.stride} · padding {padding} · dilation {worked.dilation}"
    canvas.text(_MARGIN, _MARGIN + 0.27, note, size=8, colour=look.muted)
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
    left = _MARGIN
    parts = [
        (
            "image",
            worked.padded,
            {"grey": worked.padded.min() >= 0, "outside": worked.outside},
            "×",
        ),
        ("kernel", worked.kernel, {}, "="),
        ("products", products, {"most": strongest}, "sum"),
        ("output", shown, {"most": most}, ""),
    ]
    for name, values, options, symbol in parts:
        width, high = max(values.shape[1] * CELL, 1.1), values.shape[0] * CELL
        y = middle - high / 2
        note = "×".join(map(str, values.shape))
        if name == "image" and worked.outside.any():
            inner = (~worked.outside).any(axis=1).sum(), (~worked.outside).any(axis=0).sum()
            note = f"{inner[0]}×{inner[1]}, padded to {note}"
        draw_numbers(canvas, left, y, values, title=name, note=note, **options)  # type: ignore[arg-type]
        if name == "image":
            draw_window(canvas, left, y, *worked.window(row, column), theme.accent)
        if name == "output":
            here = slice(row, row + 1), slice(column, column + 1)
            draw_window(canvas, left, y, *here, theme.accent)
        if symbol:
            sign(canvas, left + width + _GAP / 2, middle, symbol)
        left += width + _GAP
    under = top + tallest * CELL + 0.2
    for i, line in enumerate(wrap(_sum(worked, row, column), canvas.width - 2 * _MARGIN, 9)):
        canvas.text(_MARGIN, under + (i + 0.5) * line_height(9), line, size=9, colour=theme.accent)


def _sum(worked: Worked, row: int, column: int) -> str:
    cells = worked.padded[worked.window(row, column)]
    terms = [
        f"{short(float(x))}·{_bracketed(float(w))}"
        for x, w in zip(cells.ravel(), worked.kernel.ravel(), strict=True)
    ]
    return f"{' + '.join(terms)} = {short(float(worked.output[row, column]))}"


def _bracketed(value: float) -> str:
    return f"({short(value)})" if value < 0 else short(value)


def _worked(image: np.ndarray | None, kernel: np.ndarray | None, **options: Any) -> Worked:
    return convolve(
        EXAMPLE_IMAGE if image is None else image,  # type: ignore[arg-type]
        KERNELS["vertical-edge"] if kernel is None else kernel,  # type: ignore[arg-type]
        **options,
    )


def _indexed(pictures: list[np.ndarray]) -> list[Image.Image]:
    """Pictures uint8 [height, width, 3] in the 256 commonest colours of them all.

    One palette for all, or the page flickers; and not Pillow's `quantize`, which takes a
    neighbour of a colour that the palette has exactly.
    """
    packed = np.stack(pictures).astype(np.int32) @ (1 << 16, 1 << 8, 1)
    values, where, counts = np.unique(packed, return_inverse=True, return_counts=True)
    colours = (values[:, None] >> (16, 8, 0)).astype(np.uint8)
    palette = colours[np.argsort(-counts, kind="stable")[:256]]
    away = ((colours[:, None].astype(int) - palette.astype(int)) ** 2).sum(axis=-1)
    frames = []
    for part in away.argmin(axis=-1).astype(np.uint8)[where.reshape(packed.shape)]:
        frames.append(Image.fromarray(part))
        frames[-1].putpalette(palette.tobytes())
    return frames


def _pixels(figure: Figure, dpi: int) -> np.ndarray:
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
