"""The peers' processes: they start together and take turns."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.environment import peer_environment, threads

#: Keras' backend for the peers that need another than TensorFlow.
BACKENDS = {"keras-jax": "jax", "torch-lucent": "torch"}


class Worker:
    """The process of one peer.

    Args:
        peer: A name in `benchmarks.peers.worker.MAKERS`.
        python: The interpreter that has the peers; jaxviz runs on the interpreter of this process.
    """

    def __init__(self, peer: str, python: Path) -> None:
        count, own = str(threads()), peer == "jaxviz"
        environment = peer_environment(
            OMP_NUM_THREADS=count,
            TF_NUM_INTRAOP_THREADS=count,
            KERAS_BACKEND=BACKENDS.get(peer, "tensorflow"),
        )
        if own:  # an empty cache, so that no earlier run has compiled or tuned for this one
            self._empty = tempfile.TemporaryDirectory()
            environment["XDG_CACHE_HOME"] = self._empty.name
        self.process = subprocess.Popen(
            [sys.executable if own else str(python), "-m", "benchmarks.peers.worker", peer],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("VERBOSE") else subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def ask(self, **request: object) -> dict[str, Any]:
        """The answer to one request; RuntimeError if the peer failed or its process ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(
                f"its process ended with status {self.process.wait()}; VERBOSE=1 shows why"
            )
        found = json.loads(answer)
        if "error" in found:
            raise RuntimeError(found["error"])
        return found

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


class Team:
    """The processes of several peers, which start together; `revive` replaces those that ended.

    Example:
        with Team(["jaxviz", "torch"], python) as team:
            team["torch"].ask(…)
    """

    def __init__(self, peers: list[str], python: Path) -> None:
        self._python = python
        self.workers = {peer: Worker(peer, python) for peer in peers}

    def revive(self) -> None:
        """Start a new process for every peer whose process ended."""
        for peer, worker in self.workers.items():
            if worker.process.poll() is not None:
                self.workers[peer] = Worker(peer, self._python)

    def __getitem__(self, peer: str) -> Worker:
        return self.workers[peer]

    def __enter__(self) -> "Team":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers.values():
            worker.close()
