#!/usr/bin/env python3
"""A whole small network in one process, import and compile included: seconds of each.

    benchmarks/whole.py [--size N] [--peers PYTHON] [-o FILE.json]
Every filter of the galaxy CNN's three convolutions (224), 30 steps each: the published loop
of keras.io, one filter at a time, as it is (it traces anew for every filter) and mended so that
it traces once a layer; and `jaxviz atlas`, sheets and page included, with an empty compile cache
and again with a filled one.
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

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from environment import CACHE, RESULTS, build_networks, peers_python, provenance  # noqa: E402

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
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "whole.json")
    options = parser.parse_args()
    python = peers_python(options.peers)
    build_networks(python)
    # as after a first run; pip has done so for the packages of both
    for code in ("jaxviz", "converters", "benchmarks/peers"):
        compile_dir(HERE.parent / code, quiet=1)
    model, size = CACHE / "galaxy.keras", str(options.size)
    result = {**provenance(python), "size": options.size, "whole": {}}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "XDG_CACHE_HOME": folder, "PYTHONPATH": str(HERE.parent)}
        published = [python, HERE / "peers" / "keras_io.py", model, size, *LAYERS]
        own = [sys.executable, "-m", "jaxviz", "atlas", model, "--size", size]
        own += ["--preset", "keras-io", "--range=-1:1", "-o"]
        commands = {
            "keras.io": published,
            "keras.io, traced once": [*published, "--once"],
            "jaxviz": [*own, f"{folder}/1.atlas"],
            "jaxviz, compile cache filled": [*own, f"{folder}/2.atlas"],
        }
        for name, command in commands.items():
            took = timed(command, environment)
            result["whole"][name] = took
            ratio = result["whole"]["keras.io"]["seconds"] / took["seconds"]
            times = f"{took['seconds']:6.1f} s, {took['processor_seconds']:6.1f} s of processor"
            print(f"{name:30s} {times}: {ratio:.2f} times faster than keras.io", flush=True)
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
