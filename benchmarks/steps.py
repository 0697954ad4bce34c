"""Measures milliseconds per image and ascent step, for jaxviz and its peers.

    python -m benchmarks.steps [--preset robust] [--only TEXT]... [--skip PEER]... [--peers PYTHON]
    python -m benchmarks.steps --others                   networks that jaxviz was not tuned on
    python -m benchmarks.steps --model FILE.keras --layers a,b,c --size 96      your own network

Every peer runs in a process of its own with the same number of threads. Within a cell the peers
take turns, so other load on the machine falls on all of them. The best round counts; processor
time is kept too. Before timing, one step of each peer is compared with jaxviz' own, from the same
images. Only units with a gradient are stepped. A stopped run continues if code, machine and
versions are unchanged. `python -m benchmarks.report` makes the tables and the plot.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cells import CELLS, OTHERS
from benchmarks.environment import CACHE, RESULTS, build_networks, export, peers_python, provenance
from benchmarks.processes import Team

PEERS = ("keras.io", "tensorflow", "keras-jax", "torch", "tf-keras-vis", "torch-lucent")
#: Peers with a step like the default preset's: other pictures, the same amount of work. jaxviz
#: takes steps of the search, whose transforms a run leaves out later.
LIKE_ROBUST = ("tensorflow-fourier", "tf-keras-vis", "torch-lucent")
#: One of these is the fastest peer in nearly every cell.
FASTEST = ("tensorflow", "torch")
#: Preset: its peers.
BESIDE: dict[str, tuple[str, ...]] = {"keras-io": PEERS, "robust": LIKE_ROBUST}
IMAGES = 16
Cell = tuple[str, str, int]
SECONDS = 0.3  # for each peer in a round
PATIENCE = 5.0  # seconds after which a peer gets no third and later rounds
DRAWS = 4  # channels tried for an image until one has a gradient
#: Provenance that must be equal for a run to continue.
SAME = ("commit", "changed", "machine", "threads", "versions", "peers", "preset")


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """The least cosine between the steps of two peers, over the images that moved."""
    a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (a, b))
    sizes = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    live = sizes > 0
    return float(((a * b).sum(1)[live] / sizes[live]).min()) if live.any() else float("nan")


def live_channels(team: Team, request: dict[str, Any]) -> tuple[list[int], dict[str, int]]:
    """A channel for every image, with a gradient where one of `DRAWS` has it; and the counts."""
    candidates = [list(range(n * IMAGES, (n + 1) * IMAGES)) for n in range(DRAWS)]
    answer = team["jaxviz"].ask(**request, candidates=candidates)
    alive, filters = np.asarray(answer["live"]), answer["filters"]
    channels = [int(n * IMAGES + i) % filters for i, n in enumerate(alive.argmax(axis=0))]
    return channels, {"filters": filters, "live": int(alive.any(axis=0).sum())}


def measure(
    team: Team, model: Path, plain: Path, cell: Cell, preset: str, rounds: int
) -> dict[str, Any]:
    """One cell: jaxviz and its peers.

    Args:
        team: The running peers.
        model: The network as a Keras file.
        plain: The network as plain data.
        cell: Network, layer and size.
        preset: "keras-io" or "robust".
        rounds: Turns of each peer.
    """
    network, layer, size = cell
    *spatial, depth = json.loads(plain.read_text())["inputs"][0]["shape"]
    start = np.random.default_rng(0).uniform(
        -0.125, 0.125, (IMAGES, *(size for _ in spatial), depth)
    )
    start = start.astype(np.float32)
    result: dict[str, Any] = {"network": network, "layer": layer, "size": size}
    result["load"], result["time"] = round(os.getloadavg()[0], 2), time.strftime("%H:%M UTC")
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/start.npy", start)
        request = {
            "model": str(model), "plain": str(plain), "layer": layer, "size": size,
            "images": f"{folder}/start.npy", "preset": preset,
        }  # fmt: skip
        channels, known = live_channels(team, request)
        result |= {**known, "peers": {}}
        own, steps = start, {}
        for peer, worker in team.workers.items():
            found: dict[str, Any] = {}
            result["peers"][peer] = found
            try:
                saved = f"{folder}/{peer}.npy"
                found |= worker.ask(**request, channels=channels, result=saved)
                moved = np.load(saved) - start
                own = moved if peer == "jaxviz" else own
                if preset == "keras-io":
                    found["cosine"] = cosine(own, moved)
                once = worker.ask(steps=1, warm=False)["seconds"]
            except RuntimeError as error:
                print(f"  {peer}: {error}", file=sys.stderr)
                found["error"] = str(error)
                continue
            steps[peer] = max(1, round(SECONDS / once))
            found["milliseconds"], found["processor_milliseconds"] = [], []
        spent = dict.fromkeys(steps, 0.0)
        for number in range(rounds):
            for peer, count in steps.items():
                if number > 1 and spent[peer] > PATIENCE:
                    continue
                # A long step gains nothing from full caches.
                answer = team[peer].ask(steps=count, warm=count > 1)
                spent[peer] += answer["seconds"]
                for name, key in (("seconds", ""), ("cpu", "processor_")):
                    took = 1e3 * answer[name] / answer["images"]
                    result["peers"][peer][f"{key}milliseconds"].append(round(took, 4))
    return result


def continued(path: Path, found: dict[str, Any], fresh: bool) -> dict[str, Any]:
    """The earlier result where its provenance is the same, otherwise `found`."""
    if fresh or not path.exists():
        return found
    before = json.loads(path.read_text())
    return before if all(before.get(key) == found.get(key) for key in SAME) else found


def parsed() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--preset", choices=BESIDE, default="keras-io")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        help="measure cells that contain TEXT",
        metavar="TEXT",
    )
    parser.add_argument(
        "--skip", action="append", default=[], help="leave PEER out", metavar="PEER"
    )
    parser.add_argument(
        "--others", action="store_true", help="measure other networks, beside fewer peers"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=np.inf, help="begin no cell later")
    parser.add_argument("--fresh", action="store_true", help="measure every cell again")
    parser.add_argument("--peers", type=Path, help="an interpreter that has the peers")
    parser.add_argument("--model", type=Path, help="a Keras file to measure instead")
    parser.add_argument("--layers", default="", help="its layers, separated by commas")
    parser.add_argument("--size", type=int, default=96, help="side of its images in pixels")
    options = parser.parse_args()
    if bool(options.model) != bool(options.layers):
        parser.error("--model and --layers need each other")
    if options.others and (options.model or options.preset != "keras-io"):
        parser.error("--others excludes --model and --preset robust")
    return options


def main() -> None:
    options = parsed()
    began = time.monotonic()
    python = peers_python(options.peers)
    plain, cells = CACHE, OTHERS if options.others else CELLS
    if options.model:
        plain = Path(tempfile.mkdtemp())
        export(options.model, plain)
        cells = [(options.model.stem, x, options.size) for x in options.layers.split(",")]
    else:
        build_networks(python, {network for network, _, _ in cells})
    possible = FASTEST if options.others else BESIDE[options.preset]
    peers = ["jaxviz", *(peer for peer in possible if peer not in options.skip)]
    parts = ["steps", options.model.stem if options.model else ""]
    parts += ["robust" if options.preset == "robust" else "", "others" if options.others else ""]
    output = options.output or RESULTS / f"{'-'.join(filter(None, parts))}.json"
    output.parent.mkdir(exist_ok=True)
    found = {**provenance(python), "preset": options.preset, "cells": []}
    found = continued(output, found, options.fresh or options.model is not None)
    done = {(cell["network"], cell["layer"], cell["size"]) for cell in found["cells"]}
    wanted = [
        cell for cell in cells
        if cell not in done
        and (not options.only or any(text in "/".join(map(str, cell)) for text in options.only))
    ]  # fmt: skip
    with Team(peers if wanted else [], python) as team:
        for cell in wanted:
            if time.monotonic() - began > options.seconds:
                break
            team.revive()
            model = options.model or CACHE / f"{cell[0]}.keras"
            data = plain / f"{cell[0]}.json"
            found["cells"].append(measure(team, model, data, cell, options.preset, options.rounds))
            output.write_text(json.dumps(found, indent=1) + "\n")
            times = found["cells"][-1]["peers"]
            best = {p: min(t["milliseconds"]) for p, t in times.items() if "error" not in t}
            print("/".join(map(str, cell)), best, flush=True)
    left = len([c for c in wanted if c not in {_key(cell) for cell in found["cells"]}])
    print(f"{len(found['cells'])} cells in {output}, {left} left", flush=True)


def _key(cell: dict[str, Any]) -> Cell:
    return cell["network"], cell["layer"], cell["size"]


if __name__ == "__main__":
    main()
