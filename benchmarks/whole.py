"""Times a whole small network in one process, import and compile included.

    python -m benchmarks.whole [--size N] [--peers PYTHON] [-o FILE.json]

All 224 filters of the galaxy CNN's three convolutions get 30 steps each. The peers are the
published loop of keras.io, which traces again for every filter, and the loop mended to trace once
a layer. `jaxviz atlas` runs with an empty compile cache and again with a filled one; its sheets
and page are included.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from compileall import compile_dir
from pathlib import Path

from benchmarks.environment import (
    CACHE,
    RESULTS,
    ROOT,
    build_networks,
    peer_environment,
    peers_python,
    provenance,
)

LAYERS = ("conv1", "conv2", "conv3")


def timed(command: list[object], environment: dict[str, str]) -> dict[str, float]:
    """Wall and processor seconds of a command."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([str(c) for c in command], check=True, env=environment, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": time.perf_counter() - began, "processor_seconds": worked}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--peers", type=Path, help="an interpreter that has the peers")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "whole.json")
    options = parser.parse_args()
    python = peers_python(options.peers)
    build_networks(python)
    # Byte-compiled as after a first run; pip has compiled the installed packages.
    for code in ("jaxviz", "converters", "benchmarks/peers"):
        compile_dir(ROOT / code, quiet=1)
    model, size = CACHE / "galaxy.keras", str(options.size)
    result = {**provenance(python), "size": options.size, "whole": {}}
    with tempfile.TemporaryDirectory() as folder:
        empty = {"XDG_CACHE_HOME": folder, "PYTHONPATH": str(ROOT)}
        published = [python, "-m", "benchmarks.peers.keras_io", model, size, *LAYERS]
        own = [sys.executable, "-m", "jaxviz", "atlas", model, "--size", size]
        own += ["--preset", "keras-io", "--range=-1:1", "-o"]
        commands = {
            "keras.io": published,
            "keras.io, traced once": [*published, "--once"],
            "jaxviz": [*own, f"{folder}/1.atlas"],
            "jaxviz, compile cache filled": [*own, f"{folder}/2.atlas"],
        }
        for name, command in commands.items():
            peers = peer_environment() if command[0] == python else os.environ
            took = timed(command, {**peers, **empty})
            result["whole"][name] = took
            ratio = result["whole"]["keras.io"]["seconds"] / took["seconds"]
            times = f"{took['seconds']:6.1f} s, {took['processor_seconds']:6.1f} s of processor"
            print(f"{name:30s} {times}: {ratio:.2f} times faster than keras.io", flush=True)
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
