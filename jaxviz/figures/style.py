"""Two themes for figures, their colour maps, and saving figures."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

from jaxviz.errors import ConfigError

#: File types that a figure can be saved as, by suffix.
FORMATS = (".png", ".svg", ".pdf")
# Agg cannot draw more than 2^16 pixels on a side.
_LARGEST_SIDE = 65_000


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Colours of a page and of the maps on it.

    On `page`, `text` has a contrast of at least 7:1 and `muted` of at least 4.5:1, so both stay
    readable on a projector. The diverging colour map is near the page's colour at zero.

    Attributes:
        name: `light` or `dark`.
        page: The background.
        text: Titles and numbers.
        muted: Captions.
        line: Frames and thin rules.
        accent: The predicted class, or the window of a worked example.
        second: The second colour of a pair.
        faint: Bars of the classes that are not predicted.
        hole: Activations that are exactly zero.
        sequential: Colour map of maps without negative values.
        diverging: Colour map of signed maps, with zero in its middle.
    """

    name: str
    page: str
    text: str
    muted: str
    line: str
    accent: str
    second: str
    faint: str
    hole: str
    sequential: Colormap
    diverging: Colormap


def _blend(name: str, *colours: str) -> Colormap:
    return LinearSegmentedColormap.from_list(name, colours)


#: Every theme by its name.
THEMES = {
    "light": Theme(
        name="light",
        page="#ffffff",
        text="#15181c",
        muted="#565e68",
        line="#c3c9d0",
        accent="#c2410c",
        second="#1d5fbf",
        faint="#b9c1ca",
        hole="#d8dce1",
        sequential=matplotlib.colormaps["viridis"],
        diverging=_blend(
            "blue-orange",
            "#08306b", "#2f79c1", "#a9cbe8", "#ffffff", "#f6c3a0", "#d9601a", "#7a2a04",
        ),
    ),
    "dark": Theme(
        name="dark",
        page="#14161a",
        text="#f3f5f7",
        muted="#a4adb7",
        line="#434a53",
        accent="#ff9d5c",
        second="#6db3ff",
        faint="#4a525c",
        hole="#3a4049",
        sequential=matplotlib.colormaps["inferno"],
        diverging=_blend(
            "blue-orange-dark",
            "#d6ebff", "#5fb0ff", "#235a94", "#16181c", "#99461a", "#ff9350", "#ffe6d2",
        ),
    ),
}  # fmt: skip


def get_theme(theme: str | Theme) -> Theme:
    """A theme by name; a `Theme` is returned unchanged.

    Raises:
        ConfigError: If there is no theme of that name.

    Example:
        >>> get_theme("dark").page
        '#14161a'
    """
    if isinstance(theme, Theme):
        return theme
    if theme not in THEMES:
        raise ConfigError(f"there is no theme {theme!r}", hint=f"There are: {', '.join(THEMES)}.")
    return THEMES[theme]


def get_colormap(name: str) -> Colormap:
    """A Matplotlib colour map by name.

    Raises:
        ConfigError: If there is no colour map of that name.

    Example:
        >>> get_colormap("gray").name
        'gray'
    """
    try:
        return matplotlib.colormaps[name]
    except KeyError:
        raise ConfigError(
            f"there is no colour map {name!r}",
            hint="Expected a name that Matplotlib knows, such as viridis or gray.",
        ) from None


def check_output(path: str | os.PathLike[str], suffixes: tuple[str, ...] = FORMATS) -> Path:
    """The path of a file to be written.

    Commands check the path before they compute anything, so that a typing mistake costs no time.

    Args:
        path: Where to write.
        suffixes: The suffixes allowed.

    Raises:
        ConfigError: If the suffix is not allowed, or the folder does not exist.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise ConfigError(
            f"cannot tell the format of {str(path)!r}", hint=f"End it in {', '.join(suffixes)}."
        )
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {str(path.parent)!r} to save {path.name!r} in")
    return path


def save(figure: Figure, path: str | os.PathLike[str], *, dpi: float = 150) -> Path:
    """Save a figure as PNG, SVG or PDF.

    Equal figures give equal files, byte for byte, because no date or version is written.

    Args:
        figure: Any Matplotlib figure.
        path: Ends in .png, .svg or .pdf.
        dpi: Pixels per inch of PNG, and of the images inside SVG and PDF.

    Returns:
        The path.

    Raises:
        ConfigError: If the file cannot be written, or the figure is too large to draw.

    Example:
        >>> import tempfile
        >>> save(Figure(figsize=(1, 1)), Path(tempfile.mkdtemp()) / "empty.svg").name
        'empty.svg'
    """
    path = check_output(path)
    kind = path.suffix.lower()[1:]
    width, height = figure.get_size_inches() * dpi
    if kind == "png" and max(width, height) > _LARGEST_SIDE:
        raise ConfigError(
            f"the figure would be {width:.0f} by {height:.0f} pixels",
            hint="Show fewer images or layers, lower the dpi, or save the arrays instead (.npz).",
        )
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    # Type 42 keeps text as text, so that a PDF can be searched.
    settings: dict[RcKeyType, object] = {
        "svg.hashsalt": "jaxviz", "pdf.fonttype": 42, "savefig.bbox": None,
    }  # fmt: skip
    try:
        with matplotlib.rc_context(settings):
            figure.savefig(path, dpi=dpi, metadata=metadata[kind], facecolor=figure.get_facecolor())
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    return path
