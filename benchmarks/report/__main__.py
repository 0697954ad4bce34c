"""Writes the pages and plots of `docs/design/performance` from `benchmarks/results`.

    python -m benchmarks.report [--results FOLDER] [--output FOLDER] [--stdout]

Every page is made from one result; a page whose result is missing is left as it is.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.environment import RESULTS, ROOT
from benchmarks.report import compiled, cpu, plots, presets

#: Page: (result, function that makes the page)
PAGES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "cpu-steps": ("steps", cpu.steps),
    "cpu-robust": ("steps-robust", cpu.robust),
    "cpu-others": ("steps-others", cpu.others),
    "cpu-whole": ("whole", cpu.whole),
    "cpu-ceiling": ("ceiling", cpu.ceiling),
    "cpu-growth": ("growth", cpu.growth),
    "cpu-exact": ("exact", cpu.exact),
    "tpu": ("tpu", compiled.tpu),
    "gpu": ("gpu", compiled.gpu),
    "presets": ("presets", presets.presets),
}
#: Result: function that draws its plot
PLOTS = {"steps": plots.plot_steps, "growth": plots.plot_growth}


def main() -> None:
    """Write the pages and the plots."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument(
        "-o", "--output", type=Path, default=ROOT / "docs" / "design" / "performance"
    )
    parser.add_argument("--stdout", action="store_true", help="print the pages instead")
    options = parser.parse_args()
    for name, (result, make) in PAGES.items():
        path = options.results / f"{result}.json"
        if not path.exists():
            continue
        found = json.loads(path.read_text("utf-8"))
        page = make(found)
        if options.stdout:
            print(page, end="\n\n")
            continue
        options.output.mkdir(parents=True, exist_ok=True)
        origin = (
            f"`python -m benchmarks.report` writes this page from `benchmarks/results/{path.name}`"
        )
        (options.output / f"{name}.md").write_text(f"{page}\n\n---\n\n{origin}.\n", "utf-8")
        if result in PLOTS:
            PLOTS[result](found, options.output / f"{result}.png")


if __name__ == "__main__":
    main()
