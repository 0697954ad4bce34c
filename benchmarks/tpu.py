#!/usr/bin/env python3
"""What a step moves and computes on a TPU, compiled ahead of time on a machine without one.

    pip install '.[tpu]'; benchmarks/tpu.py [--target NAME]... [--only TEXT]... [-o FILE.json]
    benchmarks/tpu.py --table FILE.json...

Per image and step: megabytes moved, GFLOP, and megabytes of peak memory, for a plain
translation in float32 (the whole layer, as XLA has every operation), for what jaxviz does on
a TPU when it is asked for nothing (`jaxviz`), and for the same in float32. The step is the
published loop's (preset `keras-io`). Units are sharded over the target's chips;
`collectives` counts what these would send each other. Figures are the compiler's own
(`cost_analysis`, `memory_analysis`): nothing is run.
"""

import argparse
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from cells import CELLS  # noqa: E402

from jaxviz.batch import LayerRenderer  # noqa: E402
from jaxviz.bundle import Bundle  # noqa: E402
from jaxviz.hlo import collectives  # noqa: E402
from jaxviz.loading import load_bundle  # noqa: E402
from jaxviz.model import run  # noqa: E402
from jaxviz.objectives import trimmed_mean  # noqa: E402
from jaxviz.presets import get_preset  # noqa: E402
from jaxviz.targets import Target, find_target, spread_units  # noqa: E402

UNITS_PER_CHIP = 16
PLAIN, OURS, WIDE = "plain", "jaxviz", "jaxviz float32"


def counted(lowered: jax.stages.Lowered) -> dict[str, float]:
    """Bytes, operations and memory per image, and collectives of the whole program."""
    program = lowered.compile()
    cost, memory = program.cost_analysis(), program.memory_analysis()
    return {
        "megabytes_moved": cost["bytes accessed"] / UNITS_PER_CHIP / 1e6,
        "gflop": cost["flops"] / UNITS_PER_CHIP / 1e9,
        "peak_megabytes": memory.temp_size_in_bytes / UNITS_PER_CHIP / 1e6,
        "collectives": collectives(program.as_text() or ""),
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


def costs(
    cell: tuple[str, str, int], target: Target, *, only_ours: bool = False
) -> dict[str, object]:
    """What the variants of one cell cost."""
    network, layer, size = cell
    bundle = load_bundle(HERE / ".cache" / f"{network}.keras")
    result: dict[str, object] = {"network": network, "layer": layer, "size": size}
    units = UNITS_PER_CHIP * len(target.devices)
    if not only_ours:
        result[PLAIN] = counted(plain_step(bundle, layer, size, target, units=units))
    for name, dtype in ((OURS, "auto"), (WIDE, "float32"))[: 1 if only_ours else 2]:
        preset = get_preset("keras-io")
        renderer = LayerRenderer(bundle, layer, preset, size=size, dtype=dtype, target=target)
        result[name] = counted(renderer.lower(units))
    return result


def table(found: list[dict]) -> str:
    """A table in Markdown for every target in which all variants were compiled."""
    parts = []
    for one in found:
        cells = [cell for cell in one["cells"] if PLAIN in cell]
        if not cells:
            sent = sum(cell[OURS]["collectives"] for cell in one["cells"])
            parts.append(f"{one['target']}: {len(one['cells'])} cells, {sent} collectives.")
            continue
        rows = [
            ["network", "layer", "GFLOP plain", "GFLOP", "peak MB plain", "peak MB", "MB plain"]
            + ["MB float32", "×", "MB", "**×**", "collectives"],
            ["---"] * 2 + ["---:"] * 10,
        ]
        for cell in cells:
            plain, ours, wide = cell[PLAIN], cell[OURS], cell[WIDE]
            moved = plain["megabytes_moved"]
            numbers = [plain["gflop"], ours["gflop"], plain["peak_megabytes"]]
            numbers += [ours["peak_megabytes"], moved, wide["megabytes_moved"]]
            ratios = [moved / wide["megabytes_moved"], moved / ours["megabytes_moved"]]
            texts = [f"{n:.3g}" for n in numbers]
            texts += [f"{ratios[0]:.2f}", f"{ours['megabytes_moved']:.3g}", f"{ratios[1]:.2f}"]
            rows.append([cell["network"], cell["layer"], *texts, str(ours["collectives"])])
        ratios = [c[PLAIN]["megabytes_moved"] / c[OURS]["megabytes_moved"] for c in cells]
        body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        summary = f"least {min(ratios):.2f}, geometric mean {np.exp(np.mean(np.log(ratios))):.2f}"
        parts.append(f"{one['target']}, jax {one['jax']}: {summary}\n\n{body}")
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", action="append", default=[])
    parser.add_argument(
        "--collectives", action="append", default=[], help="a target for jaxviz' own form alone"
    )
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "tpu.json")
    parser.add_argument("--table", type=Path, nargs="+", help="print the table of results")
    options = parser.parse_args()
    if options.table:
        print(table([one for path in options.table for one in json.loads(path.read_text())]))
        return
    options.output.parent.mkdir(exist_ok=True)
    targets, alone = options.target, options.collectives
    if not targets and not alone:
        targets, alone = ["v5e:2x2", "v6e:2x2"], ["v5e:4x4"]
    found: list[dict] = []
    for name in [*targets, *alone]:
        target = find_target(name)
        found.append({"target": name, "jax": jax.__version__, "cells": []})
        for cell in CELLS:
            if options.only and not any(text in "/".join(map(str, cell)) for text in options.only):
                continue
            found[-1]["cells"].append(costs(cell, target, only_ours=name in alone))
            options.output.write_text(json.dumps(found, indent=1) + "\n")
            print(name, *cell, file=sys.stderr, flush=True)
    print(table(found))


if __name__ == "__main__":
    main()
