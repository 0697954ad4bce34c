"""Counts what a step needs on an H100, compiled ahead of time on a machine without a GPU.

    pip install '.[cuda]'
    python -m benchmarks.gpu [--only TEXT]... [-o FILE.json]
    python -m benchmarks.gpu --table FILE.json

The variants are the plain translation in float32, jaxviz' defaults on a GPU, and jaxviz in
float32. Each is the published loop's step with 64 units. Counted are megabytes of memory per
image, XLA's kernels, calls of cuDNN and other libraries, and convolutions outside any library.
Nothing runs, so no algorithm is chosen by timing.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Literal

import jax

from benchmarks.cells import CELLS
from benchmarks.environment import CACHE, RESULTS, provenance
from benchmarks.plain import plain_step
from benchmarks.report.compiled import OURS, PLAIN, WIDE, gpu_table
from jaxviz.bundle.load import load_bundle
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.jobs.estimate import needed_memory
from jaxviz.presets import get_preset
from jaxviz.runtime.devices import Target, find_target
from jaxviz.runtime.execution import Dtype
from jaxviz.runtime.hlo import kernels, library_calls, moved_bytes, own_convolutions

UNITS = 64
#: Variant and jaxviz' dtype; None is the plain translation.
VARIANTS: dict[str, Dtype | Literal["auto"] | None] = {PLAIN: None, OURS: "auto", WIDE: "float32"}


def read(lowered: jax.stages.Lowered) -> dict[str, object]:
    """Memory, kernels and library calls of the compiled program."""
    program = lowered.compile()
    text = program.as_text() or ""
    calls = library_calls(text)
    return {
        "megabytes": needed_memory(program) / UNITS / 1e6,
        "megabytes_moved": moved_bytes(text) / UNITS / 1e6,
        "kernels": kernels(text),
        "cudnn": sum(n for name, n in calls.items() if "cudnn" in name),
        "calls": dict(calls),
        "own_convolutions": own_convolutions(text),
    }


def compiled(cell: tuple[str, str, int], target: Target) -> dict[str, object]:
    """The counts of a cell's variants."""
    network, layer, size = cell
    bundle = load_bundle(CACHE / f"{network}.keras")
    result: dict[str, object] = {"network": network, "layer": layer, "size": size}
    for name, dtype in VARIANTS.items():
        if dtype is None:
            lowered = plain_step(bundle, layer, size, target, units=UNITS)
        else:
            preset = get_preset("keras-io")
            renderer = LayerRenderer.for_layer(
                bundle, layer, preset, size=size, dtype=dtype, target=target
            )
            lowered = renderer.lower(UNITS)
        result[name] = read(lowered)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "gpu.json")
    parser.add_argument("--table", type=Path, help="print the table of a result")
    options = parser.parse_args()
    if options.table:
        print(gpu_table(json.loads(options.table.read_text())))
        return
    options.output.parent.mkdir(exist_ok=True)
    target = find_target("h100")
    found: dict = {"target": "h100", "jax": jax.__version__, "units": UNITS}
    found |= {"about": provenance(), "cells": []}
    for cell in CELLS:
        if options.only and not any(text in "/".join(map(str, cell)) for text in options.only):
            continue
        found["cells"].append(compiled(cell, target))
        options.output.write_text(json.dumps(found, indent=1) + "\n")
        print(*cell, file=sys.stderr, flush=True)
    print(gpu_table(found))


if __name__ == "__main__":
    main()
