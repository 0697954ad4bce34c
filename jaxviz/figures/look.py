"""How a figure looks, and where it is drawn."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from jaxviz.figures.canvas import Canvas
from jaxviz.figures.style import Theme, get_theme

#: Empty border of a page, in inches.
MARGIN = 0.25
_TITLE = 0.36


@dataclass(frozen=True)
class Look:
    """Theme and title of a figure, and the figure or axes of the user's that it is drawn into.

    Attributes:
        theme: Colours.
        title: Text above everything; may be empty.
        fig: Draw into this figure or subfigure, scaled to fit.
        ax: Draw into this axes, scaled to fit.
    """

    theme: Theme
    title: str = ""
    fig: Figure | SubFigure | None = None
    ax: Axes | None = None

    @classmethod
    def of(
        cls, theme: str | Theme, title: str, fig: Figure | SubFigure | None, ax: Axes | None
    ) -> Look:
        """A look whose theme may be given by name.

        Raises:
            ConfigError: If there is no theme of that name.

        Example:
            >>> Look.of("light", "", None, None).top
            0.25
        """
        return cls(get_theme(theme), title, fig, ax)

    @property
    def top(self) -> float:
        """Where the figure's content begins: below the title, in inches."""
        return MARGIN + (_TITLE if self.title else 0.0)

    def page(self, width: float, height: float) -> Canvas:
        """A page of this size in inches, with the title written on it."""
        canvas = Canvas(width, height, self.theme, fig=self.fig, ax=self.ax)
        if self.title:
            room = width - 2 * MARGIN
            canvas.text(MARGIN, MARGIN + 0.05, self.title, size=13, bold=True, width=room)
        return canvas
