"""One peer in a process of its own: reads requests, one JSON object a line, and answers them.

    python -m benchmarks.peers.worker PEER

The parent sets the environment: threads, Keras' backend, no GPU. Requests:

{"model", "layer", "size", "images", "channels", "result"} prepares a cell. Every image in
`images` (.npy) takes one step for its channel, and the new images go to `result`.

{"steps": n, "warm": bool} steps one batch n times, after an untimed step where `warm` is true.
The answer is {"seconds", "cpu", "images"}: wall time, processor time and images stepped.

{"candidates": [[channel, …], …]}, for jaxviz alone, answers which channels have a gradient and
how many filters the layer has.
"""

import gc
import json
import os
import sys
import time
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.peers.parts import Parts

#: Peer: (module, function that prepares a cell, images in a batch)
MAKERS = {
    "jaxviz": ("own", "jaxviz", 0),
    "keras.io": ("frameworks", "keras_io", 1),
    "tensorflow": ("frameworks", "tensorflow", 16),
    "keras-jax": ("frameworks", "keras_jax", 16),
    "torch": ("native_torch", "torch_batched", 16),
    "tensorflow-fourier": ("fourier", "tensorflow_fourier", 16),
    "tf-keras-vis": ("packages", "tf_keras_vis", 16),
    "torch-lucent": ("packages", "torch_lucent", 16),
}


def prepare(peer: str, request: dict[str, Any]) -> tuple[Parts, dict[str, Any]]:
    """The cell of a request, and the answer to the request."""
    module, function, batch = MAKERS[peer]
    maker = getattr(import_module(f"benchmarks.peers.{module}"), function)
    images = np.load(request["images"])
    if "candidates" in request:
        parts = maker(request, images, np.asarray(request["candidates"][0]), batch)
        assert parts.live is not None
        found = [parts.live(images, np.asarray(some)).tolist() for some in request["candidates"]]
        return parts, {"live": found, "filters": parts.filters}
    parts = maker(request, images, np.asarray(request["channels"]), batch)
    loaded = time.perf_counter()
    parts.states[0] = parts.advance(parts.states[0], 0, 1)
    compiled = time.perf_counter()
    for which in range(1, len(parts.states)):
        parts.states[which] = parts.advance(parts.states[which], which, 1)
    moved = np.concatenate([parts.read(state) for state in parts.states])[: len(images)]
    np.save(request["result"], moved)
    # the first step includes the compile
    first = compiled - loaded + parts.tuning
    answer = {"first_seconds": first, "batch": parts.batch, "about": parts.about}
    return parts, answer | ({"whole": parts.whole} if parts.whole else {})


def timed(parts: Parts, steps: int, turn: int, warm: bool) -> dict[str, float]:
    """Wall and processor time of some steps of one batch; batches take turns."""
    which = turn % len(parts.states)
    state = parts.states[which]
    if warm:  # back into the caches
        state = parts.advance(state, which, 1)
    began, worked = time.perf_counter(), time.process_time()
    state = parts.advance(state, which, steps)
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    parts.states[which] = state
    return {"seconds": seconds, "cpu": cpu, "images": steps * parts.batch}


def forget() -> None:
    """Free the models and compiled programs of the previous cell."""
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
    gc.collect()


def serve(peer: str, out: Any) -> None:
    """Answer every request on standard input."""
    parts, turn = None, 0
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "model" in request:
                parts = None
                forget()
                parts, answer = prepare(peer, request)
            else:
                assert parts is not None
                answer = timed(parts, request["steps"], turn, request["warm"])
                turn += 1
        except Exception as error:  # a failure is the result of the peer
            print(f"{peer}: {error!r}", file=sys.stderr)
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    # Libraries print on standard output; the answers need a stream of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.argv[1], answers)
