#!/usr/bin/env python3
"""A whole small network in one process, import and compile included: seconds of each.

benchmarks/whole.py [--size N] [--peers PYTHON] [-o FILE.json]
Every filter of the galaxy CNN's three convolutions (224), 30 steps each: the published loop
of keras.io, one filter at a time, and `jaxviz atlas` with an empty compile cache and again
with a filled one.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from steps import CACHE, HERE, build_networks, peers_python, provenance

LAYERS = ("conv1", "conv2", "conv3")


def timed(command: list[object], environment: dict[str, str]) -> dict[str, float]:
    """Seconds by the clock and of processor time that a command takes."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([str(c) for c in command], check=True, env=environment, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": time.perf_counter() - began, "processor_seconds": worked}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--peers", type=Path, help="the interpreter that has the peers")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "whole.json")
    options = parser.parse_args()
    python = options.peers or peers_python()
    build_networks(python)
    model, size = CACHE / "galaxy.keras", str(options.size)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "XDG_CACHE_HOME": folder}
        script = HERE / "peers" / "keras_io.py"
        found = {"keras.io": timed([python, script, model, size, *LAYERS], environment)}
        for name in ("jaxviz", "jaxviz again"):
            command = [sys.executable, "-m", "jaxviz", "atlas", model, "--size", size]
            command += ["--preset", "keras-io", "--range=-1:1", "-o", f"{folder}/{name}.atlas"]
            found[name] = timed(command, environment)
    options.output.parent.mkdir(exist_ok=True)
    result = {**provenance(python), "size": options.size, "whole": found}
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    for name, took in found.items():
        ratios = [found["keras.io"][key] / took[key] for key in took]
        times = f"{took['seconds']:7.1f} s, {took['processor_seconds']:7.1f} s of processor time"
        print(f"{name:14s} {times}: {ratios[0]:.2f} and {ratios[1]:.2f} times less than keras.io")


if __name__ == "__main__":
    main()
