"""Counts the units of a network that stay dead, with the default preset and after rescue.

    python -m benchmarks.dead MODEL --range=LO:HI --out FILE [--size N] [--steps N] [--units N]

It renders N evenly spread units of every layer behind a ReLU, bounded or not. Layers in FILE are
not rendered again, so a stopped run continues.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxviz
from benchmarks.environment import CACHE
from jaxviz.bundle import Bundle
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.imaging.ranges import parse_range
from jaxviz.presets import DEFAULT_PRESET, get_preset
from jaxviz.spec import Activation, ModelSpec
from jaxviz.status import Reason, UnitStatus

#: The counts of a layer.
Row = dict[str, Any]


def relu_layers(spec: ModelSpec) -> list[str]:
    """Names of the ReLU nodes whose output is a map, in order."""
    shapes = spec.shapes()
    return [
        node.name
        for node in spec.nodes
        if isinstance(node.op, Activation)
        and node.op.function == "relu"
        and len(shapes[node.name]) == 3
    ]


def measured(bundle: Bundle, layer: str, arguments: argparse.Namespace) -> Row:
    """The counts of one layer, over evenly spread units."""
    begin = time.perf_counter()
    preset = get_preset(arguments.preset).override(steps=arguments.steps, rescue=True)
    renderer = LayerRenderer.for_layer(bundle, layer, preset, size=arguments.size, chunk=8)
    count = renderer.setup.units
    channels = np.unique(np.linspace(0, count - 1, min(arguments.units, count)).astype(int))
    result = renderer.render(channels.tolist(), 0)
    dead = result.status == UnitStatus.DEAD
    unreachable = result.reasons == Reason.UNREACHABLE
    return {
        "layer": layer,
        "units": len(channels),
        "dead before rescue": int((dead | (result.status == UnitStatus.RESCUED)).sum()),
        "rescued": int((result.status == UnitStatus.RESCUED).sum()),
        "unreachable": int(unreachable.sum()),
        "dead": int((dead & ~unreachable).sum()),
        "channels": {
            Reason(code).name.lower(): result.channels[result.reasons == code].tolist()
            for code in np.unique(result.reasons)
            if code
        },
        "seconds": round(time.perf_counter() - begin, 1),
    }


def total(rows: list[Row]) -> Row:
    """The counts over all layers; `dead` excludes the units shown to be unreachable."""
    names = ("units", "dead before rescue", "rescued", "unreachable", "dead")
    sums = {name: sum(row[name] for row in rows) for name in names}
    return {"layers": len(rows), **sums, "dead in %": round(100 * sums["dead"] / sums["units"], 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--range", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--preset", default=DEFAULT_PRESET)
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="begin no layer after this time"
    )
    arguments = parser.parse_args()
    jax.config.update("jax_compilation_cache_dir", str(CACHE / "xla"))
    begin = time.perf_counter()
    bundle = jaxviz.load_bundle(arguments.model).with_spec(range=parse_range(arguments.range))
    settings = {n: getattr(arguments, n) for n in ("preset", "size", "steps", "units")}
    found: Row = {"model": Path(arguments.model).name, "settings": settings, "layers": []}
    if arguments.out.exists():
        found = json.loads(arguments.out.read_text())
        if found["settings"] != settings:
            parser.error(f"{arguments.out} holds {found['settings']}")
    done = {row["layer"] for row in found["layers"]}
    for layer in relu_layers(bundle.spec):
        if layer in done:
            continue
        if time.perf_counter() - begin > arguments.seconds:
            break
        found["layers"].append(measured(bundle, layer, arguments))
        found["total"] = total(found["layers"])
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")
        row = found["layers"][-1]
        print(json.dumps({name: row[name] for name in row if name != "channels"}), flush=True)
    print(json.dumps(found.get("total", {})))


if __name__ == "__main__":
    main()
