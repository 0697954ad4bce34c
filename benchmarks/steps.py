#!/usr/bin/env python3
"""Milliseconds per image and ascent step, beside what a user could pick instead.

    benchmarks/steps.py [-o FILE.json] [--only TEXT]... [--skip PEER]... [--peers PYTHON]

Every peer runs in a process of its own and all take turns within a cell, so that whatever
else the machine does falls on all of them; the best of the rounds counts. Processor time
(of all threads together) is kept too: it tells more where others work on the machine.
Before timing, one step of each peer from the same images is compared with jaxviz' own. The peers'
environment is made in `benchmarks/.venv` (an hour's download at worst), the networks in
`benchmarks/.cache`. `benchmarks/table.py FILE.json` makes the table and the plot.
"""

import argparse
import ast
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from cells import CELLS  # noqa: E402

CACHE, MODELS = HERE / ".cache", HERE.parent / "models"
REQUIREMENTS = ("tensorflow==2.21.0", "keras==3.15.0", "jax==0.10.2", "torch==2.13.0", "h5py")
PEERS = ("keras.io", "tensorflow", "keras-jax", "torch")
IMAGES = 16
SECONDS = 0.4  # of each peer in a round


def peers_python() -> Path:
    """The interpreter of the peers' environment, installed if it is not there."""
    python = HERE / ".venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", HERE / ".venv"], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *REQUIREMENTS], check=True)
    return python


def build_networks(python: Path) -> None:
    """Save every network as a `.keras` file, once."""
    from jaxviz.loading import load_bundle

    CACHE.mkdir(exist_ok=True)
    if all((CACHE / f"{name}.keras").exists() for name, _, _ in CELLS):
        return
    weights = load_bundle(MODELS / "mobilenetv2.model").weights
    named = {f"{layer}|{n}": a for layer, some in weights.items() for n, a in some.items()}
    with tempfile.TemporaryDirectory() as folder:
        converted, models = Path(folder) / "mobilenet.npz", Path(folder)
        np.savez(converted, **named)
        (models / "fer.h5").write_bytes((MODELS / "fer.hdf5").read_bytes())
        script = HERE / "peers" / "networks.py"
        subprocess.run([python, script, CACHE, models, converted], check=True)


class Worker:
    """One peer's process."""

    def __init__(self, peer: str, python: Path) -> None:
        command = [str(python), str(HERE / "peers" / "worker.py"), peer]
        quiet = None if os.environ.get("VERBOSE") else subprocess.DEVNULL
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=quiet, text=True
        )

    def ask(self, **request: object) -> dict[str, float]:
        """Its answer to one request; RuntimeError if it ended instead."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("the worker ended; VERBOSE=1 shows why")
        return json.loads(answer)

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """The least cosine between two peers' steps over the images that moved."""
    a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (a, b))
    sizes = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    live = sizes > 0
    return float(((a * b).sum(1)[live] / sizes[live]).min()) if live.any() else float("nan")


def measure(
    cell: tuple[str, str, int], python: Path, rounds: int, peers: list[str]
) -> dict[str, object]:
    """One cell: jaxviz and its peers."""
    network, layer, size = cell
    depth = 1 if network == "mini-xception" else 3
    start = np.random.default_rng(0).uniform(-0.125, 0.125, (IMAGES, size, size, depth))
    start = start.astype(np.float32)
    result: dict[str, object] = {"network": network, "layer": layer, "size": size}
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/start.npy", start)
        workers, steps, compiles, cosines = {}, {}, {}, {}
        for peer in ("jaxviz", *peers):
            worker = Worker(peer, Path(sys.executable) if peer == "jaxviz" else python)
            try:
                answer = worker.ask(
                    model=str(CACHE / f"{network}.keras"), layer=layer, size=size,
                    images=f"{folder}/start.npy", result=f"{folder}/{peer}.npy",
                )  # fmt: skip
            except RuntimeError as error:
                print(f"  {peer}: {error}", file=sys.stderr)
                worker.close()
                continue
            moved = np.load(f"{folder}/{peer}.npy") - start
            if peer == "jaxviz":
                own = moved
                result["live"] = int((np.abs(own).max((1, 2, 3)) > 0).sum())
            cosines[peer] = cosine(own, moved)
            compiles[peer] = answer["compile"]
            once = worker.ask(steps=1)["seconds"]
            steps[peer] = max(1, round(SECONDS / once))
            workers[peer] = worker
        best, cpu = dict.fromkeys(workers, np.inf), dict.fromkeys(workers, np.inf)
        for _ in range(rounds):
            for peer, worker in workers.items():
                answer = worker.ask(steps=steps[peer])
                best[peer] = min(best[peer], answer["seconds"] / answer["images"])
                cpu[peer] = min(cpu[peer], answer["cpu"] / answer["images"])
        for worker in workers.values():
            worker.close()
    result["milliseconds"] = {peer: 1e3 * seconds for peer, seconds in best.items()}
    result["processor_milliseconds"] = {peer: 1e3 * seconds for peer, seconds in cpu.items()}
    result["cosine"], result["compile_seconds"] = cosines, compiles
    return result


def provenance(peers: Path) -> dict[str, object]:
    """Machine, versions and commit."""
    import jax

    names = [requirement.split("==")[0] for requirement in REQUIREMENTS]
    ask = f"from importlib.metadata import version; print([version(n) for n in {names}])"
    versions = subprocess.run([peers, "-c", ask], capture_output=True, text=True).stdout
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True
    ).stdout.strip()
    model = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "commit": commit,
        "machine": model[0].split(":")[1].strip() if model else platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "jax": jax.__version__,
        "peers": dict(zip(names, ast.literal_eval(versions), strict=True)),
        "dtype": "float32",
        "time": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "steps.json")
    parser.add_argument("--only", action="append", default=[], help="cells that contain this")
    parser.add_argument("--skip", action="append", default=[], help="a peer to leave out")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--peers", type=Path, help="the interpreter that has the peers")
    options = parser.parse_args()
    python = options.peers or peers_python()
    peers = [peer for peer in PEERS if peer not in options.skip]
    build_networks(python)
    found = {**provenance(python), "cells": []}
    options.output.parent.mkdir(exist_ok=True)
    for cell in CELLS:
        name = "/".join(map(str, cell))
        if options.only and not any(text in name for text in options.only):
            continue
        found["cells"].append(measure(cell, python, options.rounds, peers))
        times = found["cells"][-1]["milliseconds"]
        print(name, {peer: round(value, 3) for peer, value in times.items()}, flush=True)
        options.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
