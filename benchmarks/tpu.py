#!/usr/bin/env python3
"""What a step moves and computes on a TPU, compiled ahead of time on a machine without one.

    pip install "jax[tpu]"; benchmarks/tpu.py [--target v5e:2x2] [--only TEXT]... [-o FILE.json]

Per image and step: megabytes moved, GFLOP, and megabytes of peak memory, for a plain
translation in float32 (the whole layer, as XLA has every operation), for jaxviz, and for
jaxviz with the network in bfloat16. The units are sharded over the target's chips;
`collectives` counts what they would send each other.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from jax.experimental import topologies  # noqa: E402
from jax.sharding import NamedSharding, PartitionSpec  # noqa: E402

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from cells import CELLS  # noqa: E402

from jaxviz.loading import load_bundle  # noqa: E402
from jaxviz.model import run  # noqa: E402
from jaxviz.model.lowerings import choose_forms, prepare_weights  # noqa: E402
from jaxviz.model.select import plan_channel, run_channel, run_whole  # noqa: E402
from jaxviz.objectives import trimmed_mean  # noqa: E402

UNITS_PER_CHIP = 16
_COLLECTIVE = re.compile(
    r"\b(all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)\("
)


def costs(cell: tuple[str, str, int], target: str) -> dict[str, object]:
    """Bytes, operations and memory of the three variants of one cell."""
    network, layer, size = cell
    bundle = load_bundle(HERE / ".cache" / f"{network}.keras")
    spec = bundle.spec
    source = spec.inputs_of([layer])[0]
    shape = (size, size, source.shape[-1])
    shapes = spec.shapes(shape, targets=[layer])
    plan = plan_channel(spec, layer, shapes)
    forms = choose_forms(spec, [layer], "tpu", shapes)

    def plain(params, image, channel):
        whole = run(spec, params, {source.name: image[None]}, [layer])[layer][0]
        return trimmed_mean(jnp.take(whole, channel, axis=-1), 2)

    def selected(params, image, channel):
        whole = run_whole(plan, params, image, forms)
        return trimmed_mean(run_channel(plan, params, whole, channel, forms), 2)

    def narrow(params, image, channel):
        params = jax.tree.map(lambda a: a.astype(jnp.bfloat16), params)
        return selected(params, image.astype(jnp.bfloat16), channel).astype(jnp.float32)

    topology = topologies.get_topology_desc(platform="tpu", topology_name=target)
    mesh = jax.sharding.Mesh(topology.devices, ("units",))
    everywhere = NamedSharding(mesh, PartitionSpec())
    split = NamedSharding(mesh, PartitionSpec("units"))
    count = UNITS_PER_CHIP * len(topology.devices)
    params = prepare_weights(spec, bundle.weights, forms, [layer])
    params = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, jnp.float32, sharding=everywhere), params
    )
    images = jax.ShapeDtypeStruct((count, *shape), jnp.float32, sharding=split)
    channels = jax.ShapeDtypeStruct((count,), jnp.int32, sharding=split)
    result: dict[str, object] = {"network": network, "layer": layer, "size": size}
    for name, score in (("plain", plain), ("jaxviz", selected), ("jaxviz bfloat16", narrow)):

        def step(params, image, channel, score=score):
            gradient = jax.grad(score, argnums=1)(params, image, channel)
            return image + 10 * gradient * jax.lax.rsqrt(jnp.sum(gradient**2) + 1e-12)

        batched = jax.jit(jax.vmap(step, in_axes=(None, 0, 0)), donate_argnums=1)
        program = batched.lower(params, images, channels).compile()
        counted, memory = program.cost_analysis(), program.memory_analysis()
        result[name] = {
            "megabytes_moved": counted["bytes accessed"] / UNITS_PER_CHIP / 1e6,
            "gflop": counted["flops"] / UNITS_PER_CHIP / 1e9,
            "peak_megabytes": memory.temp_size_in_bytes / UNITS_PER_CHIP / 1e6,
            "collectives": len(_COLLECTIVE.findall(program.as_text())),
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", default="v5e:2x2")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "tpu.json")
    options = parser.parse_args()
    options.output.parent.mkdir(exist_ok=True)
    found = {"target": options.target, "jax": jax.__version__, "cells": []}
    print("| network | layer | MB plain | MB jaxviz | × | MB bfloat16 | × | collectives |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for cell in CELLS:
        if options.only and not any(text in "/".join(map(str, cell)) for text in options.only):
            continue
        costed = costs(cell, options.target)
        found["cells"].append(costed)
        plain, own, narrow = (
            costed[k]["megabytes_moved"] for k in ("plain", "jaxviz", "jaxviz bfloat16")
        )
        print(
            f"| {cell[0]} | {cell[1]} | {plain:.1f} | {own:.1f} | {plain / own:.2f} "
            f"| {narrow:.1f} | {plain / narrow:.2f} | {costed['jaxviz']['collectives']} |",
            flush=True,
        )
        options.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
