"""Measures how time and memory grow with the number of filters, the image's size and the depth.

    python -m benchmarks.growth [-o FILE.json]

Every point is a process with an empty compile cache. It measures the seconds from the loaded model
to the finished pictures, compile included, and the process's peak memory. Time against filters
must be a line that starts at the compile time; memory must be flat.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.environment import CACHE, RESULTS, ROOT, build_networks, peers_python, provenance

STEPS = 30
FILTERS = (64, 128, 256, 384, 512)
SIZES = (48, 64, 96, 128, 192)
DEPTHS = ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3")
GROWING = {
    "filters (resnet50 conv3_block1_3_conv, 48 px)": [
        (n, ("resnet50", "conv3_block1_3_conv", 48, n)) for n in FILTERS
    ],
    "pixels a side (galaxy conv3, 32 filters)": [
        (size, ("galaxy", "conv3", size, 32)) for size in SIZES
    ],
    "blocks deep (vgg16, 64 px, 16 filters)": [
        (number, ("vgg16", layer, 64, 16)) for number, layer in enumerate(DEPTHS, start=1)
    ],
}


def point(network: str, layer: str, size: int, filters: int, steps: int) -> dict[str, float]:
    """Seconds and peak memory of a layer's first filters, in this process."""
    from jaxviz.api import render
    from jaxviz.bundle.load import load_bundle

    bundle = load_bundle(CACHE / f"{network}.keras")
    began = time.perf_counter()
    render(bundle, layer, range(filters), preset="keras-io", size=size, steps=steps)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "peak_megabytes": peak / 1e3}


def line(points: list[dict[str, float]]) -> dict[str, float]:
    """The least-squares line through the seconds, and its share of their variance (R²)."""
    at = np.array([p["at"] for p in points], float)
    seconds = np.array([p["seconds"] for p in points])
    each, start = np.polyfit(at, seconds, 1)
    left = ((seconds - start - each * at) ** 2).sum() / ((seconds - seconds.mean()) ** 2).sum()
    return {"start": float(start), "each": float(each), "r2": float(1 - left)}


def ask(cell: tuple[Any, ...], steps: int) -> dict[str, float]:
    """`point` in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": folder}
        environment["PYTHONPATH"] = str(ROOT)
        command = [
            sys.executable,
            "-m",
            "benchmarks.growth",
            "--point",
            *map(str, cell),
            str(steps),
        ]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "growth.json")
    parser.add_argument("--point", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.point:
        network, layer, *numbers = options.point
        print(json.dumps(point(network, layer, *map(int, numbers))))
        return
    if not all((CACHE / f"{name}.json").exists() for name in ("vgg16", "galaxy", "resnet50")):
        build_networks(peers_python())
    found: dict[str, Any] = {**provenance(), "growth": {}, "fits": {}}
    for name, cells in GROWING.items():
        points = []
        for at, cell in cells:
            points.append({"at": at, **ask(cell, STEPS)})
            print(f"{name}: {points[-1]}", flush=True)
        found["growth"][name] = points
        if name.startswith("filters"):
            found["fits"][name] = line(points)
            # One filter and one step: hardly more than the compile.
            found["compile_seconds"] = ask((*cells[0][1][:3], 1), 1)["seconds"]
            print(found["fits"][name], f"compile {found['compile_seconds']:.2f} s", flush=True)
        options.output.parent.mkdir(exist_ok=True)
        options.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
