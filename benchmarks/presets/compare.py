#!/usr/bin/env python3
"""Compare presets: score on the clean picture, and time to reach keras.io's score.

Same network, layers, filters, picture size and number of steps for all. A score is the mean
activation over the whole map, of the picture as it is (`raw`) and brought into the network's
input range (`in range`), where every photograph lies: the loops without a range may leave it.
`reach` is the time per picture of the least of a few budgets of steps that brings half of the
units to the score in range that keras.io's loop ends with after its own 30 steps.

    benchmarks/presets/compare.py MODEL --range LO:HI --size N --layers A,B,C [--out FILE]
    benchmarks/presets/compare.py --table FILE
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

import jaxviz
from jaxviz.assess import Assessor
from jaxviz.batch import LayerRenderer
from jaxviz.objectives import Channel, Network
from jaxviz.presets import DEFAULT_PRESET, PRESETS
from jaxviz.ranges import Units, parse_range

PEERS = ("keras-io", "tf-keras-vis", "xplique", "lucent")
BUDGETS = (8, 16, 24, 30, 40, 48)


def trim_free(preset, steps):
    """The preset at a step budget, scored by the mean over the whole map as all others."""
    if preset.objective == Channel(trim=2):
        preset = preset.override(objective=Channel())
    return preset.override(steps=steps, keep="last")


def measured(bundle, layer, preset, channels, size):
    """(raw pictures, seconds per picture without compiling)."""
    renderer = LayerRenderer(bundle, layer, preset, size=size, chunk=8)
    renderer.render_chunk(channels[:1], 0)
    begin = time.perf_counter()
    result = renderer.render_chunk(channels, 0)
    return renderer, result, (time.perf_counter() - begin) / len(channels)


def scores(renderer, raw, channels, spec):
    """[unit] mean activation of pictures as they are, and brought into the range."""
    units = Units(0.0, 1.0, spec.range)
    network = Network(spec, renderer.forms, renderer.shape)
    assessor = Assessor(network, renderer._params, renderer.layer, units, 8, raw[:1])
    rows = np.arange(len(channels))
    inside = np.asarray(units.to_network(np.clip(np.asarray(units.from_network(raw)), 0, 1)))
    return assessor.activations(raw)[rows, channels], assessor.activations(inside)[rows, channels]


def reach(bundle, layer, name, channels, size, goal, whole):
    """Seconds per picture of the least budget that brings half of the units to their goal.

    `whole` is what the full number of steps came to: (scores in range, seconds per picture).
    """
    # what falls again has left the input range, as keras.io's loop does
    if name != "keras-io" and np.mean(whole[0] >= goal) < 0.5:
        return None
    for steps in BUDGETS:
        preset = trim_free(PRESETS[name], steps)
        renderer, result, seconds = measured(bundle, layer, preset, channels, size)
        if np.mean(scores(renderer, result.raw, channels, bundle.spec)[1] >= goal) >= 0.5:
            return round(seconds, 3)
    return round(whole[1], 3)


def compare(bundle, layer, channels, arguments):
    """One row per preset."""
    found, size = {}, arguments.size
    for name in (DEFAULT_PRESET, *PEERS):
        preset = trim_free(PRESETS[name], arguments.steps)
        renderer, result, seconds = measured(bundle, layer, preset, channels, size)
        found[name] = (*scores(renderer, result.raw, channels, bundle.spec), seconds)
    renderer, result, _ = measured(
        bundle, layer, trim_free(PRESETS["keras-io"], 30), channels, size
    )
    goal = scores(renderer, result.raw, channels, bundle.spec)[1]
    own = found[DEFAULT_PRESET]
    for name, (raw, inside, seconds) in found.items():
        yield {
            "model": Path(arguments.model).name,
            "layer": layer,
            "size": size,
            "units": len(channels),
            "preset": name,
            "median raw": round(float(np.median(raw)), 3),
            "median in range": round(float(np.median(inside)), 3),
            "default at least, raw": round(float(np.mean(own[0] >= raw)), 3),
            "default at least, in range": round(float(np.mean(own[1] >= inside)), 3),
            "seconds per picture": round(seconds, 3),
            "seconds to reach": reach(bundle, layer, name, channels, size, goal, (inside, seconds)),
        }


def table(rows):
    """The rows as Markdown."""
    keys = [key for key in rows[0] if key != "model"]
    lines = ["| network | " + " | ".join(keys) + " |", "|---" * (len(keys) + 1) + "|"]
    for row in rows:
        cells = [str(row[key]) if row[key] is not None else "never" for key in keys]
        lines.append(f"| {row['model'].split('.')[0]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("--range")
    parser.add_argument("--size", type=int)
    parser.add_argument("--layers", default="")
    parser.add_argument("--units", type=int, default=32)
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    if arguments.table:
        print(table(json.loads(arguments.table.read_text())))
        return
    if not (arguments.model and arguments.range and arguments.size):
        parser.error("MODEL, --range and --size are needed")
    bundle = jaxviz.load_bundle(arguments.model).with_spec(range=parse_range(arguments.range))
    for layer in arguments.layers.split(","):
        count = bundle.spec.shapes()[layer][-1]
        channels = np.unique(np.linspace(0, count - 1, min(arguments.units, count)).astype(int))
        rows = list(compare(bundle, layer, channels, arguments))
        print(table(rows), flush=True)
        if arguments.out:
            known = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
            arguments.out.write_text(json.dumps([*known, *rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
