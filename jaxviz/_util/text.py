"""Text in columns, for terminals."""

from __future__ import annotations

from collections.abc import Container, Sequence


def aligned(lines: Sequence[Sequence[str]], left: Container[int] = (0,)) -> list[str]:
    """Each line as text, its cells as wide as the widest of their column.

    Args:
        lines: All of the same length.
        left: Columns that begin at the left; the others end at the right.

    Example:
        >>> aligned([("layer", "units"), ("conv1", "16")])
        ['layer  units', 'conv1     16']
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def printable(text: str) -> str:
    r"""Text from a model file, safe for a terminal: control characters are spelled out.

    Line feeds stay, since messages have several lines.

    Example:
        >>> printable("conv\x1b[31m")
        'conv\\x1b[31m'
    """
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )
