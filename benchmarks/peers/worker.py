"""One peer in a process of its own: reads requests, one JSON object a line, and answers.

    worker.py PEER THREADS
{"model", "layer", "size", "images", "channels", "result"} prepares a cell and makes one step
of every image in `images` (.npy), each for its channel; the new images go to `result`.
{"steps": n, "warm": bool} makes n steps of one batch, after one that is not timed, and answers
{"seconds", "cpu", "images"}: how long they took, by the clock and in processor time, and how many
images were stepped. {"candidates": [[channel, …], …]} (jaxviz only) answers which of them have a
gradient, and how many filters the layer has.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
PEER, THREADS = sys.argv[1], sys.argv[2]
os.environ["OMP_NUM_THREADS"] = THREADS
os.environ["TF_NUM_INTRAOP_THREADS"] = THREADS
BACKENDS = {"keras-jax": "jax", "torch-lucent": "torch"}
os.environ["KERAS_BACKEND"] = BACKENDS.get(PEER, "tensorflow")

import numpy as np  # noqa: E402

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


@dataclass
class Parts:
    """A cell as a peer steps it.

    Attributes:
        states: What is stepped, one entry a batch.
        advance: (state, which batch, how many steps) -> state, when the steps are done.
        read: The images of a state.
        batch: Images in a state.
        about: What the peer chose by itself, for the result.
        live: (images, channels) -> which have a gradient, where the peer can say so.
        filters: Of the layer, where the peer can say so.
        tuning: Seconds that went into choosing how to step.
        whole: What a run of the whole layer takes before its first step, in seconds, and then per
            image and step, in milliseconds, where the peer goes about it in another way.
    """

    states: list[Any]
    advance: Callable[[Any, int, int], Any]
    read: Callable[[Any], np.ndarray]
    batch: int
    about: str = ""
    live: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    filters: int = 0
    tuning: float = 0.0
    whole: dict[str, float] | None = None


def prepare(request: dict[str, Any]) -> tuple[Parts, dict[str, Any]]:
    module, function, batch = MAKERS[PEER]
    maker = getattr(import_module(module), function)
    images = np.load(request["images"])
    if "candidates" in request:
        parts = maker(request, images, np.asarray(request["candidates"][0]), batch)
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
    """Let go of the cell before: models and compiled programs."""
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
    gc.collect()


def serve(out: Any) -> None:
    parts, turn = None, 0
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "model" in request:
                parts = None
                forget()
                parts, answer = prepare(request)
            else:
                assert parts is not None
                answer = timed(parts, request["steps"], turn, request["warm"])
                turn += 1
        except Exception as error:  # whatever a peer cannot do is its result
            print(f"{PEER}: {error!r}", file=sys.stderr)
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    # what libraries print goes elsewhere than the answers
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.modules["worker"] = sys.modules["__main__"]
    serve(answers)
