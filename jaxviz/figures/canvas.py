"""A page measured in inches, on which text fits and images stay sharp.

Figures of many small maps are laid out by arithmetic and not by Matplotlib's subplots. One axes
covers the page, and its coordinates are inches from the top left corner. Every text knows how wide
it may be, so nothing overlaps, and a page of hundreds of maps takes a second.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage
from matplotlib.patches import FancyArrowPatch, Rectangle

from jaxviz.figures.style import Theme
from jaxviz.figures.text import FAMILY, fit, line_height, number, writable


class Canvas:
    """A page that text, images and lines are drawn on; every length is in inches.

    Args:
        width: Width of the page.
        height: Height of the page.
        theme: Colours.
        fig: Draw into this figure or subfigure instead of a new one.
        ax: Draw into this axes, scaled to fit. Its frame and ticks are removed.

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
        # The page's own colour, even where the page is a part of the user's figure.
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
        """Write one line of text.

        Args:
            x: Left end, middle or right end of the line, according to `align`.
            y: Middle of the line.
            text: Written without mathematics; characters that cannot be drawn are replaced.
            size: Height of the letters, in points.
            colour: By default the theme's text colour.
            bold: Use heavy letters.
            align: `left`, `center` or `right`.
            width: Largest width; a longer text becomes smaller, then is shortened.
        """
        text = writable(text)
        if width is not None:
            text, size = fit(text, width, size, bold=bold)
        self.ax.text(
            x, y, text,
            size=size * self._scale, color=colour or self.theme.text, ha=align,
            va="center_baseline", weight="bold" if bold else "normal", family=FAMILY,
            parse_math=False,
        )  # fmt: skip

    def paragraph(self, x: float, y: float, lines: list[str], *, size: float = 7.5) -> None:
        """Write lines of muted text below each other, the first one's top at `y`."""
        for place, line in enumerate(lines):
            middle = y + (place + 0.5) * line_height(size)
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
        """Draw an array, each value as one sharp rectangle.

        Args:
            box: (left, top, width, height). The image is centred in it, undistorted.
            values: [height, width], or [height, width, 3] for red, green and blue in [0, 1].
            colormap: Colours of [height, width]; by default the theme's sequential ones.
            limits: Values at the ends of the colour map.
            holes: Draw exact zeros in the theme's colour of holes.
            gaps: Colour of values that are not finite; by default the page's.
            frame: Draw a thin line around the image.
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
        # With less than a dot for each value, values are averaged; otherwise each is a crisp
        # square. Dots are counted at the resolution that figures are saved with by default.
        dots = 150 * self._scale * min(width / values.shape[1], height / values.shape[0])
        _add_image(
            self.ax, (left, top, width, height), shown, colours, limits,
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
        """Draw a thin colour bar with its limits below, 0.25 inches high together.

        Args:
            left: Left end of the bar.
            top: Top of the bar.
            width: Width of the bar.
            colormap: Colours of the bar.
            limits: Values of its first and last colour.
            clipped: Mark the limits with ≤ and ≥, because some values lie beyond them.
        """
        ramp = np.linspace(*limits, 128)[None]
        _add_image(self.ax, (left, top, width, 0.07), ramp, colormap, limits, "nearest")
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


def _inside(
    box: tuple[float, float, float, float], rows: int, columns: int
) -> tuple[float, float, float, float]:
    left, top, width, height = box
    scale = min(width / columns, height / rows)
    across, down = columns * scale, rows * scale
    return left + (width - across) / 2, top + (height - down) / 2, across, down


def _add_image(
    ax: Axes,
    box: tuple[float, float, float, float],
    values: np.ndarray,
    colormap: Colormap | None,
    limits: tuple[float, float],
    interpolation: str,
) -> None:
    left, top, width, height = box
    # Not `imshow`, because it moves the limits of the axes each time.
    image = AxesImage(
        ax,
        cmap=colormap,
        norm=Normalize(*limits) if colormap is not None else None,
        interpolation=interpolation,
        origin="upper",
        extent=(left, left + width, top + height, top),
    )
    image.set_data(values)
    image.set_clip_path(ax.patch)
    ax.add_image(image)
