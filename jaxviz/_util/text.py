"""Text for terminals: tables, and names from model files made safe to print."""

from __future__ import annotations

import io
from collections.abc import Container, Sequence


def table_lines(rows: Sequence[Sequence[str]], left: Container[int] = (0,)) -> list[str]:
    r"""The lines of a table: plain text, two spaces between columns, nothing cut or wrapped.

    Cells are printed as they are: markup means nothing, and control characters are spelled out.

    Args:
        rows: Equally long rows of cells, the header first.
        left: Columns aligned at the left; the others are aligned at the right.

    Example:
        >>> table_lines([("layer", "units"), ("conv1", "16"), ("[red]\n", "8")])
        ['layer     units', 'conv1        16', '[red]\\n      8']
    """
    # Rich takes 50 ms to import, which `jaxviz --help` has no use for.
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[printable(cell).replace("\n", r"\n") for cell in row] for row in rows]
    table = Table.grid(padding=(0, 2))
    for place in range(len(cells[0])):
        table.add_column(justify="left" if place in left else "right", no_wrap=True)
    for row in cells:
        table.add_row(*map(Text, row))
    # A table wider than its console would be cut.
    width = max(sum(cell_len(cell) + 2 for cell in column) for column in zip(*cells, strict=True))
    output = io.StringIO()
    Console(file=output, width=width * len(cells[0]), color_system=None).print(table)
    return [line.rstrip() for line in output.getvalue().splitlines()]


def printable(text: str) -> str:
    r"""Text from a model file, safe for a terminal: control characters are spelled out.

    Line feeds stay, because messages have several lines.

    Example:
        >>> printable("conv\x1b[31m")
        'conv\\x1b[31m'
    """
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )
