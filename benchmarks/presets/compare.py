#!/usr/bin/env python3
"""Compare presets: score on the clean picture, and time to reach keras.io's score.

Same network, layers, filters, picture size and number of steps for all. A score is the mean
activation over the whole map, of the picture as it is (`raw`) and brought into the network's
input range (`in range`), where every photograph lies: the loops without a range may leave it.
`steps to reach` is the least of a few budgets of steps that brings half of the units to the
score in range that keras.io's loop ends with after its own 30 steps. With `--lucent` the package
torch-lucent itself takes part, on the same network as a Keras file (in the peers' environment,
which is installed if it is not there).

    benchmarks/presets/compare.py MODEL --range LO:HI --size N --layers A,B,C --out FILE
        [--lucent MODEL.keras]
    benchmarks/presets/compare.py MODEL --range LO:HI --times FILE   seconds, on a quiet machine
    benchmarks/presets/compare.py --table FILE
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import jaxviz
from jaxviz.engine.metrics import Assessor
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.imaging.ranges import ValueRange, parse_range
from jaxviz.objectives import Channel, Network
from jaxviz.presets import DEFAULT_PRESET, PRESETS

sys.path.insert(0, str(Path(__file__).parents[1]))
from environment import peers_python  # noqa: E402

PEERS = ("keras-io", "tf-keras-vis", "xplique", "lucent")
PACKAGE = "torch-lucent (package)"
BUDGETS = (8, 10, 12, 14, 16, 18, 20, 24, 30, 40, 48)
#: Units that a timing is over: what most chunks hold several of.
TIMED = 16


def trim_free(preset, steps):
    """The preset at a step budget, scored by the mean over the whole map as all others."""
    if preset.objective == Channel(trim=2):
        preset = preset.override(objective=Channel())
    return preset.override(steps=steps, keep="last")


def rendered(bundle, layer, preset, channels, size):
    """(renderer, its pictures)."""
    renderer = LayerRenderer.for_layer(bundle, layer, preset, size=size, chunk=8)
    return renderer, renderer.render(channels, 0)


def by_torch_lucent(arguments, bundle, layer, channels):
    """Raw pictures of the package, and its seconds per picture."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "pictures.npz"
        numbers = ",".join(map(str, channels))
        script = Path(__file__).with_name("torch_lucent.py")
        given = (arguments.lucent, layer, numbers, arguments.size, arguments.steps)
        command = [peers_python(), script, *given, arguments.range, out]
        subprocess.run([str(word) for word in command], check=True)
        with np.load(out) as found:
            images = np.asarray(ValueRange(0.0, 1.0, bundle.spec.range).to_network(found["images"]))
            return images.astype(np.float32), float(found["seconds"])


def scores(renderer, raw, channels, spec):
    """[unit] mean activation of pictures as they are, and brought into the range."""
    units = ValueRange(0.0, 1.0, spec.range)
    network = Network(spec, renderer.execution.implementations, renderer.setup.shape)
    assessor = Assessor(network, renderer.programs.weights, renderer.setup.layer, units, 8, raw[:1])
    rows = np.arange(len(channels))
    inside = np.asarray(units.to_network(np.clip(np.asarray(units.from_network(raw)), 0, 1)))
    return assessor.activations(raw)[rows, channels], assessor.activations(inside)[rows, channels]


def reach(bundle, layer, name, channels, size, goal, whole):
    """The least budget of steps that brings half of the units to their goal; None if none does.

    `whole` is what the full number of steps came to: (scores in range, steps).
    """
    # what falls again has left the input range, as keras.io's loop does
    if name != "keras-io" and np.mean(whole[0] >= goal) < 0.5:
        return None
    for steps in BUDGETS:
        preset = trim_free(PRESETS[name], steps)
        renderer, result = rendered(bundle, layer, preset, channels, size)
        if np.mean(scores(renderer, result.raw, channels, bundle.spec)[1] >= goal) >= 0.5:
            return steps
    return whole[1]


def compare(bundle, layer, channels, arguments):
    """One row per preset."""
    found, size, spec = {}, arguments.size, bundle.spec
    for name in (DEFAULT_PRESET, *PEERS):
        preset = trim_free(PRESETS[name], arguments.steps)
        renderer, result = rendered(bundle, layer, preset, channels, size)
        found[name] = scores(renderer, result.raw, channels, spec)
    if arguments.lucent:
        raw, _ = by_torch_lucent(arguments, bundle, layer, channels)
        found[PACKAGE] = scores(renderer, raw, channels, spec)
    renderer, result = rendered(bundle, layer, trim_free(PRESETS["keras-io"], 30), channels, size)
    goal = scores(renderer, result.raw, channels, spec)[1]
    own = found[DEFAULT_PRESET]
    for name, (raw, inside) in found.items():
        known = name in PRESETS
        whole = inside, arguments.steps
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
            "steps": arguments.steps,
            "steps to reach": reach(bundle, layer, name, channels, size, goal, whole)
            if known
            else None,
        }


def add_times(bundle, rows, arguments):
    """Seconds per picture of every row's preset, without compiling, and to keras.io's score."""
    wanted = arguments.layers.split(",") if arguments.layers else {row["layer"] for row in rows}
    for row in rows:
        of_this = row["model"] == Path(arguments.model).name and row["layer"] in wanted
        if not of_this or row["preset"] not in PRESETS or not row["steps to reach"]:
            continue
        preset = trim_free(PRESETS[row["preset"]], row["steps"])
        renderer = LayerRenderer.for_layer(bundle, row["layer"], preset, size=row["size"])
        channels = list(range(min(TIMED, renderer.setup.units)))
        renderer = renderer.settled(len(channels))
        renderer.render(channels, 0)  # as many as are timed, or something is compiled then
        took = []
        for _ in range(3):
            begin = time.perf_counter()
            renderer.render(channels, 0)
            took.append(time.perf_counter() - begin)
        seconds = min(took) / len(channels)
        row["seconds per picture"] = round(seconds, 4)
        row["seconds to reach"] = round(seconds * row["steps to reach"] / row["steps"], 4)
        print(json.dumps(row), flush=True)


def kept(rows, known):
    """Rows with those that are measured again replaced."""
    names = ("model", "layer", "size", "preset")
    again = {tuple(row[name] for name in names) for row in rows}
    return [row for row in known if tuple(row[name] for name in names) not in again] + rows


def table(rows):
    """The rows as Markdown."""
    keys = list(dict.fromkeys(key for row in rows for key in row if key not in ("model", "steps")))
    lines = ["| network | " + " | ".join(keys) + " |", "|---" * (len(keys) + 1) + "|"]
    for row in rows:
        cells = [str(row.get(key) if row.get(key) is not None else "") for key in keys]
        if row["preset"] in PRESETS and row.get("steps to reach") is None:
            cells[keys.index("steps to reach")] = "never"
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
    parser.add_argument("--lucent", type=Path, help="the same network as a Keras file")
    parser.add_argument("--times", type=Path)
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    if arguments.table:
        print(table(json.loads(arguments.table.read_text())))
        return
    if not (arguments.model and arguments.range and (arguments.size or arguments.times)):
        parser.error("MODEL, --range and --size are needed")
    bundle = jaxviz.load_bundle(arguments.model).with_spec(range=parse_range(arguments.range))
    if arguments.times:
        rows = json.loads(arguments.times.read_text())
        add_times(bundle, rows, arguments)
        arguments.times.write_text(json.dumps(rows, indent=1) + "\n")
        return
    for layer in arguments.layers.split(","):
        count = bundle.spec.shapes()[layer][-1]
        channels = np.unique(np.linspace(0, count - 1, min(arguments.units, count)).astype(int))
        rows = list(compare(bundle, layer, channels, arguments))
        print(table(rows), flush=True)
        if arguments.out:
            known = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
            arguments.out.write_text(json.dumps(kept(rows, known), indent=1) + "\n")


if __name__ == "__main__":
    main()
