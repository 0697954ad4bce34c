"""Compares presets by score on the clean picture, and by time to reach keras.io's score.

    python -m benchmarks.presets.compare MODEL --range LO:HI --size N --layers A,B,C --out FILE
        [--lucent MODEL.keras]
    python -m benchmarks.presets.compare MODEL --range LO:HI --times FILE   on a quiet machine
    python -m benchmarks.presets.compare --table FILE

Every preset gets the same network, layers, filters, picture size and number of steps. A score is
the mean activation over the whole map: of the picture itself (`raw`) and of the picture clipped
to the network's input range (`in range`), because loops without a range may leave it. `steps to
reach` is the smallest of a few step budgets with which half of the units reach the goal. The goal
is the score in range of keras.io's loop after its own 30 steps. With `--lucent` the package
torch-lucent takes part in the peers' environment, on the same network as a Keras file.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

import jaxviz
from benchmarks.environment import peer_environment, peers_python, provenance
from benchmarks.report.presets import presets_table
from jaxviz.engine.metrics import Assessor
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.imaging.ranges import ValueRange, parse_range
from jaxviz.objectives import Channel, Network
from jaxviz.presets import DEFAULT_PRESET, PRESETS

PEERS = ("keras-io", "tf-keras-vis", "xplique", "lucent")
PACKAGE = "torch-lucent (package)"
BUDGETS = (8, 10, 12, 14, 16, 18, 20, 24, 30, 40, 48)
#: Units that are timed together.
TIMED = 16


def trim_free(preset, steps):
    """The preset with a step budget, whose objective is the mean over the whole map."""
    if preset.objective == Channel(trim=2):
        preset = preset.override(objective=Channel())
    return preset.override(steps=steps, keep="last")


def rendered(bundle, layer, preset, channels, size):
    """A renderer and the pictures that it makes."""
    renderer = LayerRenderer.for_layer(bundle, layer, preset, size=size, chunk=8)
    return renderer, renderer.render(channels, 0)


def by_torch_lucent(arguments, bundle, layer, channels):
    """Raw pictures by torch-lucent, and seconds per picture."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "pictures.npz"
        numbers = ",".join(map(str, channels))
        given = (arguments.lucent, layer, numbers, arguments.size, arguments.steps)
        script = [peers_python(), "-m", "benchmarks.presets.torch_lucent"]
        command = [str(word) for word in (*script, *given, arguments.range, out)]
        subprocess.run(command, check=True, env=peer_environment(KERAS_BACKEND="torch"))
        with np.load(out) as found:
            images = np.asarray(ValueRange(0.0, 1.0, bundle.spec.range).to_network(found["images"]))
            return images.astype(np.float32), float(found["seconds"])


def scores(renderer, raw, channels, spec):
    """[unit] mean activations: of the pictures, and of the pictures clipped to the range."""
    units = ValueRange(0.0, 1.0, spec.range)
    network = Network(spec, renderer.execution.implementations, renderer.setup.shape)
    assessor = Assessor(network, renderer.programs.weights, renderer.setup.layer, units, 8, raw[:1])
    rows = np.arange(len(channels))
    inside = np.asarray(units.to_network(np.clip(np.asarray(units.from_network(raw)), 0, 1)))
    return assessor.activations(raw)[rows, channels], assessor.activations(inside)[rows, channels]


def reach(bundle, layer, name, channels, size, goal, whole):
    """The smallest step budget with which half of the units reach their goal; None if none does.

    Args:
        bundle: A converted network.
        layer: Name of the layer.
        name: Name of the preset.
        channels: Filters, one a unit.
        size: Side of the pictures in pixels.
        goal: [unit] scores in range to reach.
        whole: ([unit] scores in range, steps) with the full number of steps.
    """
    # Scores of keras.io's loop can fall again, because the loop leaves the input range.
    if name != "keras-io" and np.mean(whole[0] >= goal) < 0.5:
        return None
    for steps in BUDGETS:
        preset = trim_free(PRESETS[name], steps)
        renderer, result = rendered(bundle, layer, preset, channels, size)
        if np.mean(scores(renderer, result.raw, channels, bundle.spec)[1] >= goal) >= 0.5:
            return steps
    return whole[1]


def compare(bundle, layer, channels, arguments):
    """One row a preset."""
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
    own, about = found[DEFAULT_PRESET], provenance()
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
            "machine": about["machine"],
            "commit": about["commit"],
        }


def add_times(bundle, rows, arguments):
    """Add seconds per picture, compile excluded, and seconds to keras.io's score to every row."""
    wanted = arguments.layers.split(",") if arguments.layers else {row["layer"] for row in rows}
    for row in rows:
        of_this = row["model"] == Path(arguments.model).name and row["layer"] in wanted
        if not of_this or row["preset"] not in PRESETS or not row["steps to reach"]:
            continue
        preset = trim_free(PRESETS[row["preset"]], row["steps"])
        renderer = LayerRenderer.for_layer(bundle, row["layer"], preset, size=row["size"])
        channels = list(range(min(TIMED, renderer.setup.units)))
        renderer = renderer.settled(len(channels))
        renderer.render(channels, 0)  # as many as are timed, so that everything is compiled
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
    """The known rows, those measured again replaced."""
    names = ("model", "layer", "size", "preset")
    again = {tuple(row[name] for name in names) for row in rows}
    return [row for row in known if tuple(row[name] for name in names) not in again] + rows


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
        print(presets_table(json.loads(arguments.table.read_text())))
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
        count = bundle.spec.shapes()[layer][-1] or 0
        channels = np.unique(np.linspace(0, count - 1, min(arguments.units, count)).astype(int))
        rows = list(compare(bundle, layer, channels, arguments))
        print(presets_table(rows), flush=True)
        if arguments.out:
            known = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
            arguments.out.write_text(json.dumps(kept(rows, known), indent=1) + "\n")


if __name__ == "__main__":
    main()
