#!/usr/bin/env python3
"""What a step becomes on an H100, compiled ahead of time on a machine without one.

    pip install '.[cuda]'; benchmarks/gpu.py [--only TEXT]... [-o FILE.json]
    benchmarks/gpu.py --table FILE.json

For the plain translation in float32 and for what jaxviz does on a GPU when it is asked for
nothing, the published loop's step with 64 units: megabytes of memory per image, kernels that
XLA made, calls of cuDNN and other libraries, and convolutions that no library computes.
Nothing is run, and no algorithm is chosen by timing.
"""

import argparse
import json
import sys
from pathlib import Path

import jax

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import tpu  # noqa: E402
from cells import CELLS  # noqa: E402

from jaxviz.bundle.load import load_bundle
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.jobs.estimate import needed_memory
from jaxviz.presets import get_preset  # noqa: E402
from jaxviz.runtime.devices import Target, find_target
from jaxviz.runtime.hlo import kernels, library_calls, moved_bytes, own_convolutions

UNITS = 64
VARIANTS = ("plain", "jaxviz", "jaxviz float32")


def read(lowered: jax.stages.Lowered) -> dict[str, object]:
    """What the compiled program needs and runs."""
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
    """The variants of one cell."""
    network, layer, size = cell
    bundle = load_bundle(HERE / ".cache" / f"{network}.keras")
    result: dict[str, object] = {"network": network, "layer": layer, "size": size}
    for name, dtype in zip(VARIANTS, (None, "auto", "float32"), strict=True):
        if dtype is None:
            lowered = tpu.plain_step(bundle, layer, size, target, units=UNITS)
        else:
            preset = get_preset("keras-io")
            renderer = LayerRenderer.for_layer(
                bundle, layer, preset, size=size, dtype=dtype, target=target
            )
            lowered = renderer.lower(UNITS)
        result[name] = read(lowered)
    return result


def table(found: dict) -> str:
    """One row a cell."""
    rows = [
        ["network", "layer", "MB plain", "MB", "MB moved plain", "MB moved"]
        + ["kernels plain", "kernels", "cuDNN", "other calls", "convolutions outside"],
        ["---"] * 2 + ["---:"] * 9,
    ]
    for cell in found["cells"]:
        plain, ours = cell["plain"], cell["jaxviz"]
        both = [(name, one) for name in ("megabytes", "megabytes_moved") for one in (plain, ours)]
        other = sum(ours["calls"].values()) - ours["cudnn"]
        counts = (plain["kernels"], ours["kernels"], ours["cudnn"], other)
        rows.append(
            [cell["network"], cell["layer"]]
            + [f"{one[name]:.3g}" for name, one in both]
            + [str(n) for n in (*counts, ours["own_convolutions"])]
        )
    outside = sum(cell["jaxviz"]["own_convolutions"] for cell in found["cells"])
    head = f"{found['target']}, {UNITS} units, jax {found['jax']}: {outside} convolutions outside"
    return f"{head} cuDNN in {len(found['cells'])} cells\n\n" + "\n".join(
        f"| {' | '.join(row)} |" for row in rows
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "gpu.json")
    parser.add_argument("--table", type=Path, help="print the table of a result")
    options = parser.parse_args()
    if options.table:
        print(table(json.loads(options.table.read_text())))
        return
    options.output.parent.mkdir(exist_ok=True)
    target = find_target("h100")
    found: dict = {"target": "h100", "jax": jax.__version__, "cells": []}
    for cell in CELLS:
        if options.only and not any(text in "/".join(map(str, cell)) for text in options.only):
            continue
        found["cells"].append(compiled(cell, target))
        options.output.write_text(json.dumps(found, indent=1) + "\n")
        print(*cell, file=sys.stderr, flush=True)
    print(table(found))


if __name__ == "__main__":
    main()
