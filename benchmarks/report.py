#!/usr/bin/env python3
"""The tables and plots of the results, written into `benchmarks/README.md` between its marks.

    benchmarks/report.py [--results FOLDER] [--stdout]

Each part is made from one result file, `steps.json`, `steps-robust.json`, `steps-others.json`,
`whole.json`, `ceiling.json`, `growth.json` and `exact.json`, and is left out where there is none.
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
PUBLISHED, STEPS = "keras.io", 30
BEGIN, END = "<!-- results -->", "<!-- end of results -->"


def geometric_mean(values: list[float]) -> float:
    """Over those that are there; NaN where none is."""
    there = [value for value in values if not np.isnan(value)]
    return float(np.exp(np.mean(np.log(there)))) if there else np.nan


def conditions(found: dict[str, Any]) -> str:
    """One line: when, where and with what."""
    cells = found.get("cells", [])
    loads = [cell["load"] for cell in cells if "load" in cell] or [found["load"]]
    load = f"load {min(loads):.1f} to {max(loads):.1f}" if len(loads) > 1 else f"load {loads[0]}"
    changed = " with changes" if found["changed"] else ""
    machine = f"{found['machine']}, {found['threads']} threads, {found['dtype']}, {load}"
    code = f"jax {found['versions']['jax']}, commit {found['commit'][:10]}{changed}"
    return f"{found['time']}, {machine}, {code}"


def markdown(rows: list[list[str]], text_columns: int) -> str:
    """A table whose first row is the head; all but the first columns are numbers."""
    rule = ["---"] * text_columns + ["---:"] * (len(rows[0]) - text_columns)
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]])


def best(cell: dict[str, Any], key: str = "milliseconds") -> dict[str, float]:
    """Each peer's best round."""
    return {p: min(t[key]) for p, t in cell["peers"].items() if t.get(key)}


def whole_layer(cell: dict[str, Any]) -> dict[str, float]:
    """Seconds for every filter of the layer: the first step, and the rest at its pace."""
    found = {}
    for peer, pace in best(cell).items():
        known = cell["peers"][peer]
        whole = {"first_seconds": known["first_seconds"], "milliseconds": pace}
        whole |= known.get("whole", {})
        found[peer] = whole["first_seconds"] + cell["filters"] * STEPS * whole["milliseconds"] / 1e3
    return found


def ratios(times: dict[str, float]) -> tuple[float, float]:
    """How many times jaxviz is faster than the fastest peer, and than the published loop."""
    fastest = min((t for p, t in times.items() if p != "jaxviz"), default=np.nan)
    return fastest / times["jaxviz"], times.get(PUBLISHED, np.nan) / times["jaxviz"]


def number(value: float | None) -> str:
    return "" if value is None or np.isnan(value) else f"{value:.3g}"


def table_of(cells: list[dict[str, Any]], times: Callable[[dict[str, Any]], Any]) -> str:
    """One row a cell: every peer's time and jaxviz' advantage, with the geometric means."""
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


def steps(found: dict[str, Any], plot_at: Path) -> str:
    """Per image and step, per processor second, and per whole layer."""
    cells = found["cells"]
    gains = [ratios(best(cell))[0] for cell in cells]
    worked = [ratios(best(cell, "processor_milliseconds")) for cell in cells]
    losing = [c for c, gain in zip(cells, gains, strict=True) if gain < 1]
    slower = ", ".join(f"{c['network']} {c['layer']}" for c in losing) or "none"
    least = min(t.get("cosine", 1) for c in cells for t in c["peers"].values())
    dead = sum(16 - cell["live"] for cell in cells)
    fastest, published = (geometric_mean(list(v)) for v in zip(*worked, strict=True))
    plot_steps(found, plot_at)
    small = ""
    if any("whole" in cell["peers"]["jaxviz"] for cell in cells):
        small = " (for jaxviz in small layers, compiled with less effort, at the pace of that)"
    return "\n\n".join(
        [
            f"### Milliseconds per image and step, preset {found['preset']}",
            conditions(found),
            table_of(cells, best),
            f"Cells where a peer is faster: {slower}. By processor time the geometric means are "
            f"{fastest:.2f} and {published:.2f}. The least cosine between a peer's first step and "
            f"jaxviz': {least:.6f}. Images whose unit has no gradient: {dead}.",
            f"![Every peer's time in multiples of jaxviz']({os.path.relpath(plot_at, HERE)})",
            f"### Seconds for a whole layer, preset {found['preset']}",
            f"The compile (and for jaxviz the choice of its chunk), and {STEPS} steps of every "
            f"filter at the pace above{small}; starting the process and loading the model are "
            "left out.",
            table_of(cells, whole_layer),
        ]
    )


def beside_few(title: str, remark: str) -> Callable[[dict[str, Any], Path], str]:
    """Steps beside a few peers, without a plot or whole layers."""

    def part(found: dict[str, Any], plot_at: Path) -> str:
        head = f"### Milliseconds per image and step, {title}"
        return "\n\n".join([head, conditions(found), table_of(found["cells"], best), remark])

    return part


robust = beside_few(
    "preset robust",
    "`tensorflow-fourier` does the same kind of step: a Fourier image in decorrelated "
    "colours, shifted and scaled. The packages come as near as they can: they jitter and "
    "scale too, lucent with a Fourier image. Every step of jaxviz here is one of the "
    "search; after it, its transforms cost nothing.",
)
others = beside_few(
    "other networks",
    "Networks of `keras.applications`, with random weights, that no form was chosen by; "
    "beside the peers of which one is the fastest nearly everywhere above.",
)


def whole(found: dict[str, Any], plot_at: Path) -> str:
    """A whole small network, one process."""
    rows = [["what", "seconds", "processor seconds", f"× {PUBLISHED}"]]
    reference = found["whole"][PUBLISHED]["seconds"]
    for name, took in found["whole"].items():
        rows.append(
            [name, f"{took['seconds']:.1f}", f"{took['processor_seconds']:.1f}"]
            + [f"{reference / took['seconds']:.2f}"]
        )
    head = f"### A whole small network at {found['size']} px, one process, everything included"
    return "\n\n".join([head, conditions(found), markdown(rows, 1)])


def ceiling(found: dict[str, Any], plot_at: Path) -> str:
    """How much of the machine each cell uses."""
    rows = [["network", "layer", "px", "GFLOP", "GFLOP/s", "of products", "GB/s", "of memory"]]
    for cell in found["cells"]:
        rows.append(
            [cell["network"], cell["layer"], str(cell["size"]), f"{cell['gflop']:.3f}"]
            + [f"{cell['gflops_per_second']:.0f}", f"{cell['of_products']:.0%}"]
            + [f"{cell['gigabytes_per_second']:.1f}", f"{cell['of_memory']:.0%}"]
        )
    rates = (
        f"Measured here: matrix products at {found['products']:.0f} GFLOP/s, memory at "
        f"{found['memory']:.1f} GB/s. GFLOP: what an image and step cannot do without, one channel "
        "of the layer alone; GB/s: what the compiler says the program moves, much of it within "
        "the cache, so that it can exceed the memory's rate. The times are those of the steps."
    )
    head = "### Fraction of the machine"
    return "\n\n".join([head, conditions(found), markdown(rows, 2), rates])


def growth(found: dict[str, Any], plot_at: Path) -> str:
    """How time and memory grow."""
    rows = [["what grows", "from", "to", "seconds", "peak MB", "fit"]]
    for name, points in found["growth"].items():
        first, last = points[0], points[-1]
        fit = found["fits"].get(name)
        peaks = [point["peak_megabytes"] for point in points]
        rows.append(
            [name, str(first["at"]), str(last["at"])]
            + [f"{first['seconds']:.2f} to {last['seconds']:.2f}"]
            + [f"{min(peaks):.0f} to {max(peaks):.0f}"]
            + ["" if fit is None else f"{fit['start']:.2f} s + {fit['each']:.4f} s each, "
               f"R² {fit['r2']:.4f}"]
        )  # fmt: skip
    plot_growth(found, plot_at)
    text = (
        "Every point is a process of its own with an empty compile cache, from the loaded model "
        f"to the finished pictures; one filter and one step take {found['compile_seconds']:.2f} s, "
        "which is the compile."
    )
    picture = f"![Time and memory]({os.path.relpath(plot_at, HERE)})"
    return "\n\n".join(["### Growth", conditions(found), markdown(rows, 1), text, picture])


def exact(found: dict[str, Any], _: Path) -> str:
    """How near gradients are to float64."""
    rows = [["network", "layer", "images"]]
    rows[0] += [f"{who}: {what}" for who in ("XLA's forms", "jaxviz") for what in
                ("median error", "least cosine", "decided otherwise")]  # fmt: skip
    for cell in found["cells"]:
        row = [cell["network"], cell["layer"], str(cell["images"])]
        for one in (cell["plain"], cell["jaxviz"]):
            row += [f"{one['median_error']:.1e}", f"{one['least_cosine']:.6f}"]
            row.append(str(one["decided_otherwise"]))
        rows.append(row)

    def count(what: str) -> int:
        values = [cell[what] for cell in found["cells"]]
        return sum(v if what == "images" else v["decided_otherwise"] for v in values)

    text = (
        "First gradients from noise in float32 against float64. *Decided otherwise*: images in "
        "which a ReLU or a maximum falls on the other side than in float64; the others agree but "
        f"for rounding. Of {count('images')} there are {count('plain')} with XLA's forms and "
        f"{count('jaxviz')} with jaxviz'."
    )
    title = "### The same result: gradients against float64"
    return "\n\n".join([title, conditions(found), text, markdown(rows, 2)])


def plot_steps(found: dict[str, Any], path: Path) -> None:
    """Each peer's time in multiples of jaxviz', cell by cell."""
    pyplot = _pyplot()
    cells = found["cells"]
    figure, axes = pyplot.subplots(figsize=(8, 0.3 * len(cells) + 1.2), layout="tight")
    names = [f"{cell['network']} {cell['layer']}" for cell in cells]
    peers = dict.fromkeys(p for cell in cells for p in cell["peers"] if p != "jaxviz")
    for peer, marker in zip(peers, "os^DvPX*", strict=False):
        gains = [best(cell).get(peer, np.nan) / best(cell)["jaxviz"] for cell in cells]
        axes.plot(gains, range(len(names)), marker, label=peer, alpha=0.8)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("time per image and step, in multiples of jaxviz' (right: jaxviz is faster)")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=90)


def plot_growth(found: dict[str, Any], path: Path) -> None:
    """Seconds and peak memory against what grows."""
    pyplot = _pyplot()
    growing = found["growth"]
    figure, axes = pyplot.subplots(
        2, len(growing), figsize=(3.2 * len(growing), 5), layout="tight", sharex="col"
    )
    for column, (name, points) in zip(axes.T, growing.items(), strict=True):
        at = [point["at"] for point in points]
        column[0].plot(at, [point["seconds"] for point in points], "o", label="measured")
        if name in found["fits"]:
            fit = found["fits"][name]
            line = [fit["start"] + fit["each"] * x for x in (0, at[-1])]
            column[0].plot([0, at[-1]], line, label=f"line, R² {fit['r2']:.4f}")
            column[0].legend(fontsize=7)
        column[1].plot(at, [point["peak_megabytes"] for point in points], "o")
        column[1].set_xlabel(name)
        for one in column:
            one.set_ylim(0, 1.08 * one.dataLim.ymax)
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("peak memory, MB")
    figure.savefig(path, dpi=80)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    return pyplot


PARTS = {
    "steps": steps,
    "steps-robust": robust,
    "steps-others": others,
    "whole": whole,
    "ceiling": ceiling,
    "growth": growth,
    "exact": exact,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--stdout", action="store_true", help="print it, and leave the README")
    options = parser.parse_args()
    parts = [
        make(json.loads(path.read_text()), options.results / f"{name}.png")
        for name, make in PARTS.items()
        if (path := options.results / f"{name}.json").exists()
    ]
    text = "\n\n".join(parts)
    if options.stdout:
        print(text)
        return
    readme = (HERE / "README.md").read_text()
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    (HERE / "README.md").write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


if __name__ == "__main__":
    main()
