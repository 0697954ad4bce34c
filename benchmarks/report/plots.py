"""The plots beside the pages."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report.text import best


def plot_steps(found: dict[str, Any], path: Path) -> None:
    """Draw each peer's time in multiples of jaxviz', cell by cell."""
    pyplot = agg_pyplot()
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
    """Draw seconds and peak memory against each growing quantity."""
    pyplot = agg_pyplot()
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


def agg_pyplot() -> Any:
    """Matplotlib's pyplot without a window."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    return pyplot
