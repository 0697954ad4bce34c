#!/usr/bin/env python3
"""What a step moves and computes on a TPU, compiled ahead of time on a machine without one.

    pip install '.[tpu]'; benchmarks/tpu.py [--target NAME]... [--only TEXT]... [-o FILE.json]
    benchmarks/tpu.py --variant plain …        # one or more of them alone, the others kept
    benchmarks/tpu.py --table FILE.json...
    benchmarks/tpu.py --profile 12 --target NAME --only TEXT   # which instructions move most

Per image and step: megabytes moved, GFLOP, and megabytes of peak memory, for a plain
translation in float32 (the whole layer, as XLA has every operation), for what jaxviz does on
a TPU when it is asked for nothing (`jaxviz`), and for the same in float32. The step is the
published loop's (preset `keras-io`). Units are sharded over the target's chips;
`collectives` counts what these would send each other. Figures are the compiler's own
(`cost_analysis`, `memory_analysis`): nothing is run. They count what lies in the chip's own
memory (VMEM) as well, and several times what is copied there. `hbm_megabytes` is what the
memory beside the chip is read and written for, counted in the program's text, and
`copies_megabytes` how much of the compiler's count is copies between the two (`--memory` for
cells that lack them). `kilocycles` are the compiler's own estimate of a step's time, of what it
has one for. All variants have 128 units a chip, which is what jaxviz takes by itself.

What FILE.json has of programs that did not change since is kept: every variant is recorded with
a digest of the program that was given to the compiler and of the options that jaxviz gave with it.
"""

import argparse
import hashlib
import json
import re
import sys
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from cells import CELLS  # noqa: E402
from environment import provenance  # noqa: E402

from jaxviz.bundle import Bundle
from jaxviz.bundle.load import load_bundle
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.model import run  # noqa: E402
from jaxviz.objectives import trimmed_mean  # noqa: E402
from jaxviz.presets import get_preset  # noqa: E402
from jaxviz.runtime.devices import Target, find_target, spread_units
from jaxviz.runtime.hlo import collectives, estimated_cycles, traffic
from jaxviz.runtime.xla_options import Options, compiler_options

UNITS_PER_CHIP = 128
PLAIN, OURS, WIDE = "plain", "jaxviz", "jaxviz float32"
MEMORY, COPIES, CYCLES = "hbm_megabytes", "copies_megabytes", "kilocycles"
#: What is compiled, and what jaxviz is told to compute in.
VARIANTS = {PLAIN: None, OURS: "auto", WIDE: "float32"}
#: Network, layer, side of the image.
Cell = tuple[str, str, int]


def counted(
    lowered: jax.stages.Lowered, options: Options | None, before: dict, again: bool
) -> dict[str, float | str]:
    """Bytes, operations and memory per image, and collectives of the whole program.

    Args:
        lowered: The program.
        options: What it is compiled with, which it was given already.
        before: What was found earlier, perhaps of the same program.
        again: Whether that is not enough where the memory beside the chip was not counted apart.
    """
    compiler = f"{jax.__version__} {version('libtpu')}"
    asked = f"{options} " if options else ""
    digest = hashlib.sha256(f"{compiler} {asked}{lowered.as_text()}".encode()).hexdigest()[:16]
    if before.get("program") == digest and (MEMORY in before or not again):
        return before
    program = lowered.compile()
    cost, memory = program.cost_analysis(), program.memory_analysis()
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


def plain_step(
    bundle: Bundle, layer: str, size: int, target: Target, *, units: int
) -> jax.stages.Lowered:
    """The published loop's step as it would be written: the whole layer, float32."""
    spec = bundle.spec
    source = spec.inputs_of([layer])[0]

    def score(params, image, channel):
        whole = run(spec, params, {source.name: image[None]}, [layer])[layer][0]
        return trimmed_mean(jnp.take(whole, channel, axis=-1), 2)

    def step(params, image, channel):
        gradient = jax.grad(score, argnums=1)(params, image, channel)
        return image + 10 * gradient * jax.lax.rsqrt(jnp.sum(gradient**2) + 1e-12)

    def steps(params, images, channels, count):
        several = jax.vmap(step, in_axes=(None, 0, 0))
        return jax.lax.fori_loop(0, count, lambda _, x: several(params, x, channels), images)

    needed = {node.layer for node in spec.upstream([layer])}
    params = {name: own for name, own in bundle.weights.items() if name in needed}
    weights, number = target.placed(
        (
            jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, jnp.float32), params),
            jax.ShapeDtypeStruct((), np.int32),
        ),
        split=False,
    )
    images, channels = target.placed(
        (
            jax.ShapeDtypeStruct((units, size, size, source.shape[-1]), jnp.float32),
            jax.ShapeDtypeStruct((units,), np.int32),
        ),
        split=True,
    )
    program = jax.jit(spread_units(steps, target.mesh), donate_argnums=1)
    return program.lower(weights, images, channels, number)


def lowered_step(cell: Cell, variant: str, target: Target) -> jax.stages.Lowered:
    """The step of one variant of a cell, for all chips."""
    network, layer, size = cell
    bundle = load_bundle(HERE / ".cache" / f"{network}.keras")
    units = UNITS_PER_CHIP * len(target.devices)
    if variant == PLAIN:
        return plain_step(bundle, layer, size, target, units=units)
    preset, dtype = get_preset("keras-io"), VARIANTS[variant]
    return LayerRenderer.for_layer(
        bundle, layer, preset, size=size, dtype=dtype, target=target
    ).lower(units)


def costs(
    cell: Cell, target: Target, before: dict, variants: list[str], again: bool = False
) -> dict[str, object]:
    """What the variants of one cell cost."""
    network, layer, size = cell
    own = compiler_options("tpu", "all", target.devices[0])
    found = {}
    for name in variants:
        step, options = lowered_step(cell, name, target), None if name == PLAIN else own
        found[name] = counted(step, options, before.get(name, {}), again)
    return {**before, "network": network, "layer": layer, "size": size, **found}


def profile(lowered: jax.stages.Lowered, most: int) -> str:
    """The instructions that the compiler counts most bytes for, per image."""
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
    """What was found, in a file that is written after every cell."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(exist_ok=True)
        self.targets: list[dict] = json.loads(path.read_text()) if path.exists() else []

    def before(self, target: str, cell: Cell) -> dict:
        """What there is of a cell."""
        cells = next((one["cells"] for one in self.targets if one["target"] == target), [])
        return next((c for c in cells if (c["network"], c["layer"], c["size"]) == cell), {})

    def put(self, target: str, cell: Cell, found: dict) -> None:
        """Keep it, in the order of the cells."""
        one = next((one for one in self.targets if one["target"] == target), None)
        if one is None:
            self.targets.append(one := {"target": target, "cells": []})
        about = provenance() | {"units_per_chip": UNITS_PER_CHIP, "dtype": None}
        about["versions"]["libtpu"] = version("libtpu")
        old = self.before(target, cell)
        cells = [c for c in one["cells"] if c is not old] + [found]
        order = {c: number for number, c in enumerate(CELLS)}
        cells.sort(key=lambda c: order.get((c["network"], c["layer"], c["size"]), len(order)))
        one |= {"about": about, "cells": cells}
        self._path.write_text(json.dumps(self.targets, indent=1) + "\n")


def table(found: list[dict]) -> str:
    """A table in Markdown for every target that the plain translation was compiled for."""
    return "\n\n".join(filter(None, map(_target_table, found)))


def _target_table(one: dict) -> str:
    cells = [cell for cell in one["cells"] if OURS in cell]
    compared = [cell for cell in cells if PLAIN in cell]
    if not compared:
        sent = sum(cell[OURS]["collectives"] for cell in cells)
        networks = len({cell["network"] for cell in cells})
        return f"{one['target']}: {len(cells)} cells of {networks} networks, {sent} collectives."
    rows = [
        ["network", "layer", "GFLOP plain", "GFLOP", "peak MB plain", "peak MB", "MB plain"]
        + ["MB float32", "×", "MB", "**×**", "copies plain", "copies", "HBM plain", "HBM"]
        + ["**HBM ×**", "collectives"],
        ["---"] * 2 + ["---:"] * 15,
    ]
    ratios = []
    for cell in compared:
        plain, ours, wide = cell[PLAIN], cell[OURS], cell.get(WIDE)
        moved = plain["megabytes_moved"]
        ratios.append(moved / ours["megabytes_moved"])
        numbers = [plain["gflop"], ours["gflop"], plain["peak_megabytes"], ours["peak_megabytes"]]
        texts = [f"{n:.3g}" for n in (*numbers, moved)]
        texts += [f"{(w := wide['megabytes_moved']):.3g}", f"{moved / w:.2f}"] if wide else ["", ""]
        texts += [f"{ours['megabytes_moved']:.3g}", f"{ratios[-1]:.2f}"]
        apart = MEMORY in plain and MEMORY in ours
        texts += (
            [f"{one[key]:.3g}" for key in (COPIES, MEMORY) for one in (plain, ours)]
            if apart
            else [""] * 4
        )
        texts.append(f"{plain[MEMORY] / ours[MEMORY]:.2f}" if apart else "")
        rows.append([cell["network"], cell["layer"], *texts, str(ours["collectives"])])
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    about = one["about"]
    return (
        f"{one['target']}, {about['units_per_chip']} units a chip, jax {about['versions']['jax']}: "
        f"{len(compared)} cells, least {min(ratios):.2f}, "
        f"geometric mean {np.exp(np.mean(np.log(ratios))):.2f}\n\n{body}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", action="append", default=[])
    parser.add_argument(
        "--collectives",
        action="append",
        default=[],
        help="a target for jaxviz' own implementation alone",
    )
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument(
        "--memory", action="store_true", help="also cells whose memory was not counted apart"
    )
    parser.add_argument("--variant", action="append", choices=VARIANTS)
    parser.add_argument(
        "--profile", type=int, metavar="N", help="print so many instructions of every variant"
    )
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "tpu.json")
    parser.add_argument("--table", type=Path, nargs="+", help="print the table of results")
    options = parser.parse_args()
    if options.table:
        print(table([one for path in options.table for one in json.loads(path.read_text())]))
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
        print(table(results.targets))


if __name__ == "__main__":
    main()
