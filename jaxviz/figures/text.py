"""Text measured in inches: how wide a line is, and how to make it fit."""

from __future__ import annotations

from functools import lru_cache

from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import FT2Font

#: The font that comes with Matplotlib, so every machine draws the same figure.
FAMILY = "DejaVu Sans"
_SMALLEST = 6.0
_POINT = 1 / 72


def line_height(size: float) -> float:
    """Distance from one line of text to the next, in inches; `size` is in points."""
    return 1.45 * size * _POINT


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Width of a line of text, in inches.

    Example:
        >>> text_width("mm", 10) > text_width("m", 10) > 0.1
        True
    """
    return _width_at_100(text, bold) * size / 100


def fit(text: str, width: float, size: float, *, bold: bool = False) -> tuple[str, float]:
    """A text and its size in points that fit a width in inches.

    The text is first made smaller, down to 6 points, then shortened in its middle.

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
    """Break a text into lines that are at most `width` inches wide.

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
    """A number as a label: two significant digits, or a whole number from 100 on.

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


def _font(bold: bool) -> FT2Font:
    weight = "bold" if bold else "normal"
    return get_font(findfont(FontProperties(family=FAMILY, weight=weight)))


def writable(text: str) -> str:
    """The text with a replacement character for everything that the font cannot draw."""
    known = _font(False).get_charmap()
    return "".join(c if ord(c) in known and c.isprintable() else "\N{REPLACEMENT CHARACTER}"
                   for c in text)  # fmt: skip
