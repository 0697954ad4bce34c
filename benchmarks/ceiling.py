#!/usr/bin/env python3
"""What fraction of this machine each cell uses: of its matrix products, and of its memory.

    benchmarks/ceiling.py [--only TEXT]... [-o FILE.json]

Both rates are measured first and again at the end, and the better counts. Only operations are
counted that an image and step cannot do without (`jaxviz/cost.py`): convolutions and products on
the path to the layer, one channel of the layer itself, forward and back to the image. A form
that needs fewer than the plain one (Winograd's) can therefore pass 100 %. Bytes are those the
compiler says that the program moves, in cache or out of it.
"""

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from cells import CELLS  # noqa: E402
from environment import CACHE, RESULTS, build_networks, peers_python, provenance  # noqa: E402

from jaxviz.bench.measure import Settings, measure, measured_device  # noqa: E402
from jaxviz.loading import load_bundle  # noqa: E402
from jaxviz.presets import get_preset  # noqa: E402

SECONDS = 1.5  # of timing a cell


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], help="cells that contain this")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "ceiling.json")
    options = parser.parse_args()
    if not all((CACHE / f"{network}.json").exists() for network, _, _ in CELLS):
        build_networks(peers_python())
    conditions, device = provenance(), measured_device(("float32",), seconds=1)
    preset, cells, bundles = get_preset("keras-io"), [], {}
    for network, layer, size in CELLS:
        name = f"{network}/{layer}/{size}"
        if options.only and not any(text in name for text in options.only):
            continue
        if network not in bundles:
            bundles = {network: load_bundle(CACHE / f"{network}.keras")}
        settings = Settings(preset, size)
        row = measure(bundles[network], layer, settings, "float32", None, device, SECONDS)
        seconds = row.step_seconds / (row.chunk * row.lanes)
        cells.append(
            {
                "network": network,
                "layer": layer,
                "size": size,
                "milliseconds": 1e3 * seconds,
                "gflop": row.gflop,
                "gflops_per_second": row.gflop / seconds,
                "of_products": row.of_products,
                "gigabytes_per_second": row.megabytes / 1e3 / seconds,
                "of_memory": row.of_memory,
                "peak_megabytes": row.peak_megabytes,
            }
        )
        print(
            f"{name:45s} {1e3 * seconds:8.3f} ms, {row.of_products:4.0%} of products, "
            f"{row.of_memory:4.0%} of memory",
            flush=True,
        )
    again = measured_device(("float32",), seconds=1)
    products, memory = (
        (rate(device), rate(again))
        for rate in (lambda d: d.product_rate["float32"], lambda d: d.memory_rate)
    )
    for cell in cells:
        cell["of_products"] *= products[0] / max(products)
        cell["of_memory"] *= memory[0] / max(memory)
    found = {**conditions, "products": max(products) / 1e9, "memory": max(memory) / 1e9}
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps({**found, "cells": cells}, indent=1) + "\n")


if __name__ == "__main__":
    main()
