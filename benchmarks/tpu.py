"""Counts what a step moves and computes on a TPU, compiled ahead of time on a machine without one.

    pip install '.[tpu]'
    python -m benchmarks.tpu [--target NAME]... [--only TEXT]... [-o FILE.json]
    python -m benchmarks.tpu --variant plain …                 # these alone; the others stay
    python -m benchmarks.tpu --table FILE.json...
    python -m benchmarks.tpu --profile 12 --target NAME --only TEXT    # most traffic first

The variants are a plain translation in float32 (the whole layer, XLA's implementation of every
operation), jaxviz' defaults on a TPU, and jaxviz in float32. Each is the published loop's step
(preset `keras-io`) with 128 units a chip, jaxviz' own choice. Nothing runs. Per image and step:

`megabytes_moved`, `gflop`, `peak_megabytes`: the compiler's `cost_analysis` and `memory_analysis`.
    They include traffic within the chip's memory (VMEM), and count copies several times.
`hbm_megabytes`: reads and writes of HBM, counted in the program's text.
`copies_megabytes`: the part of `megabytes_moved` that is copies between HBM and VMEM.
`kilocycles`: the compiler's estimate of the step's time, over the instructions that have one.
`collectives`: messages between chips, of the whole program; units are sharded over the chips.

FILE.json records each variant with a digest of the program and the compiler options. A variant
whose digest is unchanged is kept; `--memory` also recounts those that lack `hbm_megabytes`.
"""

import argparse
import hashlib
import json
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import jax

from benchmarks.cells import CELLS
from benchmarks.environment import CACHE, RESULTS, provenance
from benchmarks.plain import plain_step
from benchmarks.report.compiled import COPIES, MEMORY, OURS, PLAIN, WIDE, tpu_tables
from jaxviz.bundle.load import load_bundle
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.presets import get_preset
from jaxviz.runtime.devices import Target, find_target
from jaxviz.runtime.execution import Dtype
from jaxviz.runtime.hlo import collectives, estimated_cycles, traffic
from jaxviz.runtime.xla_options import Options, compiler_options

UNITS_PER_CHIP = 128
CYCLES = "kilocycles"
#: Variant and jaxviz' dtype; None is the plain translation.
VARIANTS: dict[str, Dtype | Literal["auto"] | None] = {PLAIN: None, OURS: "auto", WIDE: "float32"}
#: Network, layer, side of the image.
Cell = tuple[str, str, int]


def counted(
    lowered: jax.stages.Lowered, options: Options | None, before: dict, again: bool
) -> dict[str, float | str]:
    """Bytes, operations and memory per image, and collectives of the whole program.

    Args:
        lowered: The program.
        options: The compiler options, which the program already has.
        before: The earlier record of the variant, returned where its digest is unchanged.
        again: Whether a record without HBM traffic is counted again.
    """
    compiler = f"{jax.__version__} {version('libtpu')}"
    asked = f"{options} " if options else ""
    digest = hashlib.sha256(f"{compiler} {asked}{lowered.as_text()}".encode()).hexdigest()[:16]
    if before.get("program") == digest and (MEMORY in before or not again):
        return before
    program = lowered.compile()
    cost, memory = program.cost_analysis(), program.memory_analysis()
    assert cost is not None
    assert memory is not None
    text = program.as_text() or ""
    moved = list(traffic(text))
    return {
        "megabytes_moved": cost["bytes accessed"] / UNITS_PER_CHIP / 1e6,
        MEMORY: sum(one.outside for one in moved) / UNITS_PER_CHIP / 1e6,
        COPIES: sum(one.counted for one in moved if one.copies) / UNITS_PER_CHIP / 1e6,
        "gflop": cost["flops"] / UNITS_PER_CHIP / 1e9,
        "peak_megabytes": memory.temp_size_in_bytes / UNITS_PER_CHIP / 1e6,
        "collectives": collectives(text),
        CYCLES: estimated_cycles(text) / UNITS_PER_CHIP / 1e3,
        "program": digest,
    }


def lowered_step(cell: Cell, variant: str, target: Target) -> jax.stages.Lowered:
    """The program of one variant of a cell, for all chips."""
    network, layer, size = cell
    bundle = load_bundle(CACHE / f"{network}.keras")
    units = UNITS_PER_CHIP * len(target.devices)
    dtype = VARIANTS[variant]
    if dtype is None:
        return plain_step(bundle, layer, size, target, units=units)
    preset = get_preset("keras-io")
    return LayerRenderer.for_layer(
        bundle, layer, preset, size=size, dtype=dtype, target=target
    ).lower(units)


def costs(
    cell: Cell, target: Target, before: dict, variants: list[str], again: bool = False
) -> dict[str, object]:
    """The records of a cell's variants, old and new."""
    network, layer, size = cell
    own = compiler_options("tpu", "all", target.devices[0])
    found = {}
    for name in variants:
        step, options = lowered_step(cell, name, target), None if name == PLAIN else own
        found[name] = counted(step, options, before.get(name, {}), again)
    return {**before, "network": network, "layer": layer, "size": size, **found}


def profile(lowered: jax.stages.Lowered, most: int) -> str:
    """The instructions with most traffic, a line each, in megabytes per image."""
    moved = sorted(traffic(lowered.compile().as_text() or ""), key=lambda one: -one.counted)
    lines = []
    for one in moved[:most]:
        kind = re.sub(r"T\([^)]*\)(\([^)]*\))?", "", one.instruction.kind)
        source = re.search(r'op_name="[^"]*/([^"/]+)"', one.instruction.rest)
        counted, outside = (n / UNITS_PER_CHIP / 1e6 for n in (one.counted, one.outside))
        what = f"{one.instruction.name} {source[1] if source else ''}"
        lines.append(f"{counted:7.2f} MB, HBM {outside:5.2f}  {what}  {kind}")
    return "\n".join(lines)


class Results:
    """The records of all targets, in a file that is written after every cell."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(exist_ok=True)
        self.targets: list[dict] = json.loads(path.read_text()) if path.exists() else []

    def before(self, target: str, cell: Cell) -> dict:
        """The record of a cell; empty where there is none."""
        cells = [c for one in self.targets if one["target"] == target for c in one["cells"]]
        return next((c for c in cells if (c["network"], c["layer"], c["size"]) == cell), {})

    def put(self, target: str, cell: Cell, found: dict) -> None:
        """Store the record of a cell, in the order of `CELLS`."""
        one = next((one for one in self.targets if one["target"] == target), None)
        if one is None:
            one = {"target": target, "cells": []}
            self.targets.append(one)
        about = provenance() | {"units_per_chip": UNITS_PER_CHIP, "dtype": None}
        about["versions"]["libtpu"] = version("libtpu")
        old = self.before(target, cell)
        cells = [c for c in one["cells"] if c is not old] + [found]
        order = {c: number for number, c in enumerate(CELLS)}
        cells.sort(key=lambda c: order.get((c["network"], c["layer"], c["size"]), len(order)))
        one |= {"about": about, "cells": cells}
        self._path.write_text(json.dumps(self.targets, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", action="append", default=[])
    parser.add_argument(
        "--collectives",
        action="append",
        default=[],
        help="a target for the variant `jaxviz` alone",
    )
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument(
        "--memory", action="store_true", help="count records without HBM traffic again"
    )
    parser.add_argument("--variant", action="append", choices=VARIANTS)
    parser.add_argument(
        "--profile", type=int, metavar="N", help="print the N instructions with most traffic"
    )
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "tpu.json")
    parser.add_argument("--table", type=Path, nargs="+", help="print the tables of results")
    options = parser.parse_args()
    if options.table:
        print(tpu_tables([one for path in options.table for one in json.loads(path.read_text())]))
        return
    targets, alone = options.target, options.collectives
    if not targets and not alone:
        targets, alone = ["v5e:2x2", "v6e:2x2"], ["v5e:4x4"]
    results = Results(options.output)
    for name in [*targets, *alone]:
        target = find_target(name)
        chosen = [OURS] if name in alone else options.variant or list(VARIANTS)
        for cell in CELLS:
            if options.only and not any(text in "/".join(map(str, cell)) for text in options.only):
                continue
            if options.profile:
                for variant in chosen:
                    print(name, *cell, variant)
                    print(profile(lowered_step(cell, variant, target), options.profile))
                continue
            before = results.before(name, cell)
            results.put(name, cell, costs(cell, target, before, chosen, options.memory))
            print(name, *cell, file=sys.stderr, flush=True)
    if not options.profile:
        print(tpu_tables(results.targets))


if __name__ == "__main__":
    main()
