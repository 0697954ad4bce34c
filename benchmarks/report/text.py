"""Tables and lines that every page is made of."""

from collections.abc import Callable
from typing import Any

import numpy as np

#: The peer that is the published loop.
PUBLISHED = "keras.io"


def markdown(rows: list[list[str]], text_columns: int) -> str:
    """A table in Markdown.

    Args:
        rows: The head, then the body.
        text_columns: Number of leading columns that hold text; the others hold numbers.
    """
    rule = ["---"] * text_columns + ["---:"] * (len(rows[0]) - text_columns)
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]])


def conditions(found: dict[str, Any]) -> str:
    """One line about a result: time, machine, versions and commit."""
    cells = found.get("cells", [])
    loads = [cell["load"] for cell in cells if "load" in cell] or [found["load"]]
    load = f"load {min(loads):.1f} to {max(loads):.1f}" if len(loads) > 1 else f"load {loads[0]}"
    machine = f"{found['machine']}, {found['threads']} threads, {found['dtype']}, {load}"
    return f"{found['time']}, {machine}, jax {found['versions']['jax']}, {commit(found)}"


def commit(found: dict[str, Any]) -> str:
    """The commit that a result was measured at."""
    return f"commit {found['commit'][:10]}{' with changes' if found['changed'] else ''}"


def number(value: float | None) -> str:
    """Three digits; empty where there is no value."""
    return "" if value is None or np.isnan(value) else f"{value:.3g}"


def geometric_mean(values: list[float]) -> float:
    """The geometric mean of the values that are not NaN; NaN where there is none."""
    there = [value for value in values if not np.isnan(value)]
    return float(np.exp(np.mean(np.log(there)))) if there else np.nan


def best(cell: dict[str, Any], key: str = "milliseconds") -> dict[str, float]:
    """Peer: its best round in a cell."""
    return {p: min(t[key]) for p, t in cell["peers"].items() if t.get(key)}


def ratios(times: dict[str, float]) -> tuple[float, float]:
    """Times of the fastest peer and of the published loop, as multiples of jaxviz' time."""
    fastest = min((t for p, t in times.items() if p != "jaxviz"), default=np.nan)
    return fastest / times["jaxviz"], times.get(PUBLISHED, np.nan) / times["jaxviz"]


def peers_table(
    cells: list[dict[str, Any]], times: Callable[[dict[str, Any]], dict[str, float]]
) -> str:
    """One row a cell: every peer's time, jaxviz' advantage, and the geometric means.

    Args:
        cells: The cells of a result.
        times: Cell -> {peer: time}.
    """
    peers = list(dict.fromkeys(p for cell in cells for p in cell["peers"]))
    rows = [["network", "layer", "px", *peers, "× fastest", f"× {PUBLISHED}"]]
    gains = [ratios(times(cell)) for cell in cells]
    for cell, gain in zip(cells, gains, strict=True):
        own = [number(times(cell).get(p)) or "fails" for p in peers]
        names = [cell["network"], cell["layer"], str(cell["size"])]
        rows.append([*names, *own, *map(number, gain)])
    means = [geometric_mean(list(values)) for values in zip(*gains, strict=True)]
    shown = ["" if np.isnan(mean) else f"**{mean:.2f}**" for mean in means]
    rows.append(["geometric mean", "", "", *[""] * len(peers), *shown])
    return markdown(rows, 2)


def paragraphs(*parts: str) -> str:
    """The parts that are not empty, divided by blank lines."""
    return "\n\n".join(filter(None, parts))
