#!/usr/bin/env python3
"""The table (Markdown, on stdout) and the plot of a result of `steps.py`.

benchmarks/table.py FILE.json [--plot FILE.png]
"""

import argparse
import json
from pathlib import Path

import numpy as np

PUBLISHED = "keras.io"


def geometric_mean(values: list[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def table(found: dict) -> str:
    """One row a cell: every peer's milliseconds, and how many times faster jaxviz is."""
    peers = list(dict.fromkeys(p for cell in found["cells"] for p in cell["milliseconds"]))
    rows = [
        ["network", "layer", "px", *peers, "× fastest", f"× {PUBLISHED}", "× least CPU time"],
        ["---"] * 3 + ["---:"] * (len(peers) + 3),
    ]
    fastest, published, least = [], [], []
    for cell in found["cells"]:
        times = cell["milliseconds"]
        fastest.append(min(t for p, t in times.items() if p != "jaxviz") / times["jaxviz"])
        published.append(times.get(PUBLISHED, np.nan) / times["jaxviz"])
        worked = cell["processor_milliseconds"]
        least.append(min(t for p, t in worked.items() if p != "jaxviz") / worked["jaxviz"])
        numbers = [f"{times[p]:.3g}" if p in times else "" for p in peers]
        rows.append(
            [cell["network"], cell["layer"], str(cell["size"]), *numbers]
            + [f"{mean[-1]:.2f}" for mean in (fastest, published, least)]
        )
    means = [f"**{geometric_mean(v):.2f}**" for v in (fastest, published, least)]
    rows.append(["geometric mean", "", "", *[""] * len(peers), *means])
    about = f"{found['machine']}, {found['cores']} cores, float32, load {found['load']:.1f}, "
    head = f"{about}jax {found['jax']}, commit {found['commit'][:10]}, {found['time']}"
    return head + "\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)


def plot(found: dict, path: Path) -> None:
    """Each peer's time in multiples of jaxviz', cell by cell."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 0.3 * len(found["cells"]) + 1.2), layout="tight")
    names = [f"{cell['network']} {cell['layer']}" for cell in found["cells"]]
    peers = dict.fromkeys(p for cell in found["cells"] for p in cell["milliseconds"])
    for peer, marker in zip([p for p in peers if p != "jaxviz"], "os^DvP", strict=False):
        ratios = [
            cell["milliseconds"].get(peer, np.nan) / cell["milliseconds"]["jaxviz"]
            for cell in found["cells"]
        ]
        axes.plot(ratios, range(len(names)), marker, label=peer, alpha=0.8)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("time per image and step, in multiples of jaxviz' (right: jaxviz is faster)")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    found = json.loads(options.result.read_text())
    print(table(found))
    if options.plot:
        plot(found, options.plot)


if __name__ == "__main__":
    main()
