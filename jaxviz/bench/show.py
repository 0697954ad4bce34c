"""Show results of `jaxviz bench`: tables, plots and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import JsonValue

from jaxviz._util.text import printable, table_lines
from jaxviz.bench.document import BenchResult, Row
from jaxviz.errors import ConfigError


def result_text(result: BenchResult) -> str:
    """A result as a table, its totals, and the device that was measured."""
    lines = table_lines(_table(result.rows))
    for total in result.totals:
        lines.append(
            f"{total.layers} layers of {total.units} filters in {total.dtype}: "
            f"{total.filter_steps_per_second:,.1f} filter-steps/s one layer after the other, "
            f"{total.compile_seconds:.1f} s of compiling"
        )
    device = result.device
    rates = [f"{dtype} {rate / 1e9:,.0f}" for dtype, rate in device.product_rate.items()]
    memory = "" if device.memory_rate is None else f", memory {device.memory_rate / 1e9:.1f} GB/s"
    lines.append(
        f"{device.count} × {device.platform} ({device.kind}), {device.threads} threads; "
        f"measured: products {', '.join(rates)} GFLOP/s{memory}; preset {result.preset}"
    )
    return "\n".join(lines)


def _table(rows: Sequence[Row]) -> list[list[str]]:
    """The header and a line for each row; fractions are of the device's measured rates."""
    lines = [["layer", "filters", "px", "chunk", "dtype", "live", "compile s", "ms/filter-step",
              "filter-steps/s", "peak MB", "of products", "of memory"]]  # fmt: skip
    for row in rows:
        chunk = f"{row.lanes}×{row.chunk}" if row.lanes > 1 else str(row.chunk)
        cells = [row.layer, str(row.units), str(max(row.size[:2])), chunk, row.dtype]
        if row.problem:
            cells += ["", "", row.problem]
        else:
            rate = row.filter_steps_per_second
            cells += [f"{row.live}/{row.tried}", _number(row.compile_seconds, ".1f")]
            cells += ["none live"] if rate is None else [f"{1e3 / rate:.3f}", f"{rate:,.1f}"]
            cells += [""] if rate is None else []
            cells += [_number(row.peak_megabytes, ",.0f")]
            cells += [_number(row.of_products, ".0%"), _number(row.of_memory, ".0%")]
        lines.append([*cells, *[""] * (len(lines[0]) - len(cells))])
    return lines


class Pair(NamedTuple):
    """Two rows that measured the same layer, size, chunk and dtype.

    Attributes:
        a: The first result's row.
        b: The second result's row.
        ratio: Rate of `b` / rate of `a`; above 1 if the second is faster.
    """

    a: Row
    b: Row
    ratio: float


class Comparison(NamedTuple):
    """A comparison of two results.

    Attributes:
        pairs: The rows that both results have.
        notes: Differences between the results that may explain the ratios.
    """

    pairs: list[Pair]
    notes: list[str]

    @property
    def mean(self) -> float:
        """The geometric mean of the ratios."""
        return float(np.exp(np.mean(np.log([pair.ratio for pair in self.pairs]))))


def compare(a: BenchResult, b: BenchResult) -> Comparison:
    """Compare two results, row by row.

    Args:
        a: The first result.
        b: The second result.

    Raises:
        ConfigError: If the results differ in model or preset, or share no row.
    """
    different = [
        f"{name}: {one!r} in the first result, {other!r} in the second"
        for name, one, other in (
            ("model", f"{a.model} {a.sha256[:12]}", f"{b.model} {b.sha256[:12]}"),
            ("preset", a.preset, b.preset),
        )
        if one != other
    ]
    if different:
        raise ConfigError(
            "cannot compare these results, because they measured different things",
            details=different,
            hint="Run `jaxviz bench` with the same model and --preset for both.",
        )
    others = {row.key: row for row in b.rows if row.filter_steps_per_second}
    pairs = [
        Pair(row, others[row.key], (others[row.key].filter_steps_per_second or 0) / rate)
        for row in a.rows
        if (rate := row.filter_steps_per_second) and row.key in others
    ]
    if not pairs:
        raise ConfigError(
            "cannot compare these results: they share no measured combination of layer, size, "
            "chunk and dtype",
            hint="Run both with the same --layers, --size, --chunks and --dtypes.",
        )
    shared = {pair.a.key for pair in pairs}
    alone = sum(row.key not in shared for result in (a, b) for row in result.rows)
    notes = [f"{alone} rows are in only one of the results"] if alone else []
    for name, one, other in (
        ("device", a.device.kind, b.device.kind),
        ("threads", a.device.threads, b.device.threads),
        *((n, a.software.get(n), b.software.get(n)) for n in {**a.software, **b.software}),
    ):
        if one != other:
            notes.append(f"{name}: {one} in the first result, {other} in the second")
    return Comparison(pairs, notes)


def comparison_text(a: BenchResult, b: BenchResult) -> str:
    """Two results side by side, and the geometric mean of their ratios."""
    comparison = compare(a, b)
    rows = [["layer", "px", "chunk", "dtype", "A filter-steps/s", "B filter-steps/s", "B/A",
             "A compile s", "B compile s", "A peak MB", "B peak MB"]]  # fmt: skip
    for one, other, ratio in comparison.pairs:
        rows.append([
            one.layer, str(max(one.size[:2])), str(one.chunk), one.dtype,
            f"{one.filter_steps_per_second:,.1f}", f"{other.filter_steps_per_second:,.1f}",
            f"{ratio:.2f}",
            *(_number(row.compile_seconds, ".1f") for row in (one, other)),
            *(_number(row.peak_megabytes, ",.0f") for row in (one, other)),
        ])  # fmt: skip
    lines = table_lines(rows)
    lines.append(f"geometric mean B/A: {comparison.mean:.3f} over {len(comparison.pairs)} rows")
    lines += [f"note: {note}" for note in comparison.notes]
    return "\n".join(lines)


def comparison_document(a: BenchResult, b: BenchResult) -> dict[str, JsonValue]:
    """Compare two results as a JSON document.

    Returns:
        `rows`, `geometric_mean` of the ratios, and `notes`.
    """
    comparison = compare(a, b)
    rows: list[JsonValue] = [
        {"layer": one.layer, "size": list(one.size), "chunk": one.chunk, "dtype": one.dtype,
         "a": one.filter_steps_per_second, "b": other.filter_steps_per_second, "ratio": ratio}
        for one, other, ratio in comparison.pairs
    ]  # fmt: skip
    return {"rows": rows, "geometric_mean": comparison.mean, "notes": [*comparison.notes]}


def plot(result: BenchResult, path: Path) -> None:
    """Plot the rate of each layer, and its fraction of the matrix product rate.

    Args:
        result: The result.
        path: The image file to write.

    Raises:
        ConfigError: If no row has a rate, or the file cannot be written.
    """
    from matplotlib.figure import Figure

    rows = [row for row in result.rows if row.filter_steps_per_second]
    if not rows:
        raise ConfigError("cannot plot this result, because no row has a rate")
    layers = list(dict.fromkeys(row.layer for row in rows))
    kinds = list(dict.fromkeys((row.chunk, row.dtype) for row in rows))
    figure = Figure(figsize=(9, 0.35 * len(layers) + 1.8), layout="tight")
    rates, shares = figure.subplots(1, 2, sharey=True)
    for number, (chunk, dtype) in enumerate(kinds):
        own = [row for row in rows if (row.chunk, row.dtype) == (chunk, dtype)]
        at = [layers.index(row.layer) for row in own]
        style = {"label": f"chunk {chunk}, {dtype}", "alpha": 0.8}
        marker = "os^DvPX*"[number % 8]
        rates.plot([row.filter_steps_per_second or 0 for row in own], at, marker, **style)
        shares.plot([100 * (row.of_products or 0) for row in own], at, marker, **style)
    rates.set_yticks(range(len(layers)), [printable(name) for name in layers], fontsize=8)
    rates.set_ylim(len(layers) - 0.5, -0.5)
    rates.set_xscale("log")
    rates.set_xlabel("filter-steps per second")
    shares.set_xlabel("% of the measured rate of matrix products")
    shares.set_xlim(left=0)
    rates.legend(fontsize=7)
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot write the plot {str(path)!r}: {error}") from error


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
