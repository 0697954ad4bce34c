"""A page measured in inches: text that fits, images that stay sharp.

A figure of many small maps is laid out by arithmetic rather than by Matplotlib's subplots:
one axes covers the page, its coordinates are inches from the top left corner, and every
text knows how wide it may be. So nothing overlaps, whatever the number of images and layers,
and a page of hundreds of maps is drawn in a second.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.image import AxesImage
from matplotlib.patches import FancyArrowPatch, Rectangle

from jaxviz.figures.style import Theme

_FAMILY = "DejaVu Sans"  # the one font that comes with Matplotlib, so it is everywhere
_SMALLEST = 6.0
_POINT = 1 / 72


class Canvas:
    """Draws on a page of so many inches.

    Args:
        width: Of the page, in inches.
        height: Of the page, in inches.
        theme: Colours.
        fig: Draw into this figure or subfigure instead of a new one.
        ax: Draw into this axes, scaled to fit its box, whose frame is taken away.

    Example:
        >>> from jaxviz.figures.style import get_theme
        >>> canvas = Canvas(3, 1, get_theme("light"))
        >>> canvas.text(0.1, 0.5, "conv1")
        >>> canvas.figure.get_size_inches().tolist()
        [3.0, 1.0]
    """

    def __init__(
        self,
        width: float,
        height: float,
        theme: Theme,
        *,
        fig: Figure | SubFigure | None = None,
        ax: Axes | None = None,
    ) -> None:
        self.width, self.height, self.theme = width, height, theme
        if ax is None:
            if fig is None:
                fig = Figure(figsize=(width, height), facecolor=theme.page)
            ax = fig.add_axes((0, 0, 1, 1))
        else:
            ax.clear()
        self.ax = ax
        self.figure: Figure = ax.get_figure(root=True)  # type: ignore[assignment]
        box = ax.get_window_extent()
        self._scale = min(
            box.width / self.figure.dpi / width, box.height / self.figure.dpi / height
        )
        ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal", autoscale_on=False)
        ax.set_axis_off()
        # The page's own colour, also where the page is only a part of somebody's figure.
        ax.add_patch(Rectangle((0, 0), width, height, fc=theme.page, ec="none", zorder=-10))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 8,
        colour: str | None = None,
        bold: bool = False,
        align: str = "left",
        width: float | None = None,
    ) -> None:
        """Write one line, its middle at height `y`.

        Args:
            x: Left end, middle or right end, by `align`.
            y: Middle of the line.
            text: Written as it is: no mathematics, no control characters.
            size: In points; reduced to no less than 6 where `width` asks for it.
            colour: The theme's text colour where left out.
            bold: Heavy.
            align: `left`, `center` or `right`.
            width: Inches that it may take; what is too long is made smaller, then shortened
                in its middle.
        """
        text = _writable(text)
        if width is not None:
            text, size = fit(text, width, size, bold=bold)
        self.ax.text(
            x, y, text,
            size=size * self._scale, color=colour or self.theme.text, ha=align,
            va="center_baseline", weight="bold" if bold else "normal", family=_FAMILY,
            parse_math=False,
        )  # fmt: skip

    def paragraph(self, x: float, y: float, lines: list[str], *, size: float = 7.5) -> None:
        """Write captions under each other, the top of the first at `y`."""
        for number, line in enumerate(lines):
            middle = y + (number + 0.5) * line_height(size)
            self.text(x, middle, line, size=size, colour=self.theme.muted)

    def image(
        self,
        box: tuple[float, float, float, float],
        values: np.ndarray,
        *,
        colormap: Colormap | None = None,
        limits: tuple[float, float] = (0.0, 1.0),
        holes: bool = False,
        gaps: str | None = None,
        frame: bool = False,
    ) -> None:
        """Show an array, each of its values as one sharp rectangle.

        Args:
            box: (left, top, width, height) in inches; the image keeps its proportions and
                is centred in it.
            values: [height, width] through the colour map, or [height, width, 3] in [0, 1].
            colormap: For [height, width]; the theme's sequential one where left out.
            limits: Values at the ends of the colour map.
            holes: Show exact zeros in the theme's colour of holes.
            gaps: Colour of what is not finite; the page's where left out.
            frame: A thin line around it.
        """
        left, top, width, height = _inside(box, values.shape[0], values.shape[1])
        if values.ndim == 2:
            colours = (colormap or self.theme.sequential).with_extremes(
                bad=self.theme.hole if holes else gaps or self.theme.page
            )
            missing = ~np.isfinite(values) | ((values == 0) if holes else False)
            shown = np.ma.array(values, mask=missing)
        else:
            colours, shown = None, np.clip(values, 0, 1)
        # Fewer dots than values: average them. More: keep each value a crisp square. Half a
        # device pixel decides, at the resolution that figures are saved with.
        dots = 150 * self._scale * min(width / values.shape[1], height / values.shape[0])
        self._place(
            (left, top, width, height), shown, colours, limits,
            "nearest" if dots >= 1 else "antialiased",
        )  # fmt: skip
        if frame:
            self.rectangle(left, top, width, height, line=self.theme.line, thickness=0.6)

    def rectangle(
        self,
        left: float,
        top: float,
        width: float,
        height: float,
        *,
        fill: str = "none",
        line: str = "none",
        thickness: float = 1.0,
        dashed: bool = False,
        alpha: float = 1.0,
    ) -> None:
        """Draw a rectangle."""
        patch = Rectangle(
            (left, top), width, height,
            fc=fill, ec=line, lw=thickness * self._scale, alpha=alpha,
            ls=(0, (3, 2)) if dashed else "-", joinstyle="miter",
        )  # fmt: skip
        self.ax.add_patch(patch)

    def line(
        self, xs: list[float], ys: list[float], *, colour: str | None = None, thickness: float = 1.0
    ) -> None:
        """Draw a line through points."""
        colour = colour or self.theme.line
        self.ax.plot(xs, ys, color=colour, lw=thickness * self._scale, solid_capstyle="round")

    def arrow(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draw a straight arrow."""
        patch = FancyArrowPatch(
            start, end,
            arrowstyle="-|>", mutation_scale=9 * self._scale, lw=1.1 * self._scale,
            color=self.theme.muted, shrinkA=0, shrinkB=0,
        )  # fmt: skip
        self.ax.add_patch(patch)

    def colour_bar(
        self,
        left: float,
        top: float,
        width: float,
        colormap: Colormap,
        limits: tuple[float, float],
        *,
        clipped: bool = False,
    ) -> None:
        """A thin scale with its limits written below, 0.25 inches high in all.

        Args:
            left: In inches, as all lengths.
            top: Of the bar.
            width: Of the bar.
            colormap: The colours.
            limits: Values of the first and the last.
            clipped: Some values lie beyond the limits, which the numbers then say.
        """
        ramp = np.linspace(*limits, 128)[None]
        self._place((left, top, width, 0.07), ramp, colormap, limits, "nearest")
        self.rectangle(left, top, width, 0.07, line=self.theme.line, thickness=0.5)
        low, high = map(number, limits)
        if clipped:
            low, high = (f"≤ {low}" if limits[0] < 0 else low), f"≥ {high}"
        y, muted = top + 0.16, self.theme.muted
        self.text(left, y, low, size=6.5, colour=muted)
        self.text(left + width, y, high, size=6.5, colour=muted, align="right")
        if limits[0] < 0 < limits[1] and width > 0.8:
            zero = left + width * -limits[0] / (limits[1] - limits[0])
            self.text(zero, y, "0", size=6.5, colour=muted, align="center")

    def _place(
        self,
        box: tuple[float, float, float, float],
        values: np.ndarray,
        colormap: Colormap | None,
        limits: tuple[float, float],
        interpolation: str,
    ) -> None:
        left, top, width, height = box
        # Not `imshow`, which would move the limits of the axes each time.
        image = AxesImage(
            self.ax,
            cmap=colormap,
            norm=Normalize(*limits) if colormap is not None else None,
            interpolation=interpolation,
            origin="upper",
            extent=(left, left + width, top + height, top),
        )
        image.set_data(values)
        image.set_clip_path(self.ax.patch)
        self.ax.add_image(image)


def line_height(size: float) -> float:
    """Inches from one line of text to the next."""
    return 1.45 * size * _POINT


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """How wide a line is, in inches.

    Example:
        >>> text_width("mm", 10) > text_width("m", 10) > 0.1
        True
    """
    return _width_at_100(text, bold) * size / 100


def fit(text: str, width: float, size: float, *, bold: bool = False) -> tuple[str, float]:
    """A text and size that fit a width: smaller first, then shortened in the middle.

    Example:
        >>> fit("pool", 5.0, 9)
        ('pool', 9)
        >>> fit("a_very_long_layer_name_of_a_nested_model/pre_activation", 1.0, 9)
        ('a_very_lon…_activation', 6.0)
    """
    length = text_width(text, size, bold=bold)
    if length <= width:
        return text, size
    if length * _SMALLEST / size <= width:
        return text, max(_SMALLEST, size * width / length)
    kept = len(text)
    shorter = text
    while kept > 1 and text_width(shorter, _SMALLEST, bold=bold) > width:
        kept -= 1
        shorter = f"{text[: kept // 2]}…{text[len(text) - (kept - kept // 2) :]}"
    return shorter, _SMALLEST


def wrap(text: str, width: float, size: float = 7.5) -> list[str]:
    """Break a text into lines no wider than so many inches.

    Example:
        >>> wrap("one two three", 0.6, 10)
        ['one two', 'three']
    """
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def number(value: float) -> str:
    """A number as short as a label wants it.

    Example:
        >>> number(0.0), number(-3.14159), number(1234.5), number(0.00012)
        ('0', '−3.1', '1234', '1.2e−4')
    """
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e5 or size < 1e-3:
        text = f"{value:.1e}"
    elif size >= 100:
        text = f"{value:.0f}"
    else:
        text = f"{value:.2g}"
    return text.replace("e+0", "e").replace("e+", "e").replace("e-0", "e-").replace("-", "−")


@lru_cache(maxsize=4096)
def _width_at_100(text: str, bold: bool) -> float:
    font = _font(bold)
    font.set_size(100, 72)
    font.set_text(text)
    return font.get_width_height()[0] / 64 * _POINT


def _font(bold: bool):  # noqa: ANN202 - Matplotlib does not export the type
    weight = "bold" if bold else "normal"
    return get_font(findfont(FontProperties(family=_FAMILY, weight=weight)))


def _writable(text: str) -> str:
    """Without control characters and without what the font cannot draw."""
    known = _font(False).get_charmap()
    return "".join(c if ord(c) in known and c.isprintable() else "\N{REPLACEMENT CHARACTER}"
                   for c in text)  # fmt: skip


def _inside(
    box: tuple[float, float, float, float], rows: int, columns: int
) -> tuple[float, float, float, float]:
    left, top, width, height = box
    scale = min(width / columns, height / rows)
    across, down = columns * scale, rows * scale
    return left + (width - across) / 2, top + (height - down) / 2, across, down
