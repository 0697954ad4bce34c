"""Measures the fraction of the machine's matrix products and memory bandwidth that a step uses.

    python -m benchmarks.ceiling [--steps FILE.json] [-o FILE.json]

The times come from `benchmarks.steps`, which runs first; this script measures the machine's rates.
It counts only the necessary operations of an image and step (`jaxviz.model.cost`): convolutions
and products on the path to the layer, and one channel of the layer, forward and back to the
image. An implementation with fewer operations, as Winograd's, can therefore exceed 100 %. Bytes
are the compiler's count of the program's traffic, inside the cache or outside.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.environment import CACHE, RESULTS, provenance
from jaxviz.bench.rates import memory_rate, product_rate
from jaxviz.bench.stepper import Stepper
from jaxviz.bundle.load import load_bundle
from jaxviz.model.cost import step_cost
from jaxviz.presets import get_preset
from jaxviz.runtime.hlo import accessed_bytes


def fractions(cell: dict[str, Any], products: float, memory: float) -> dict[str, Any]:
    """A cell's operations and bytes per second, as fractions of the machine's rates."""
    bundle, own = load_bundle(CACHE / f"{cell['network']}.keras"), cell["peers"]["jaxviz"]
    chunk = int(own["about"].split()[-1])
    stepper = Stepper(bundle, cell["layer"], get_preset("keras-io"), size=cell["size"], chunk=chunk)
    channels = np.zeros(stepper.units, int)
    program = stepper.compiled(stepper.start(channels), channels)
    moved = accessed_bytes(program) / stepper.chunk
    needed = step_cost(bundle.spec, cell["layer"], stepper.renderer.setup.shape).flops
    seconds = min(own["milliseconds"]) / 1e3
    return {
        "network": cell["network"],
        "layer": cell["layer"],
        "size": cell["size"],
        "gflop": needed / 1e9,
        "gflops_per_second": needed / seconds / 1e9,
        "of_products": needed / seconds / products,
        "gigabytes_per_second": moved / seconds / 1e9,
        "of_memory": moved / seconds / memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=Path, default=RESULTS / "steps.json")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "ceiling.json")
    options = parser.parse_args()
    if not options.steps.exists():
        parser.error(f"there is no {options.steps}: `python -m benchmarks.steps` writes it")
    steps = json.loads(options.steps.read_text())
    found = provenance()
    products, memory = product_rate(seconds=2), memory_rate(seconds=2)
    found |= {"products": products / 1e9, "memory": memory / 1e9, "cells": []}
    options.output.parent.mkdir(exist_ok=True)
    for cell in steps["cells"]:
        found["cells"].append(fractions(cell, products, memory))
        one = found["cells"][-1]
        name = f"{cell['network']}/{cell['layer']}"
        shares = f"{one['of_products']:4.0%} of products, {one['of_memory']:4.0%} of memory"
        print(f"{name:45s} {shares}", flush=True)
        options.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
