"""The peers' processes: they are started together, and take turns."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from environment import HERE, threads


class Worker:
    """One peer's process."""

    def __init__(self, peer: str, python: Path) -> None:
        own = Path(sys.executable) if peer == "jaxviz" else python
        command = [str(own), str(HERE / "peers" / "worker.py"), peer, str(threads())]
        quiet = None if os.environ.get("VERBOSE") else subprocess.DEVNULL
        path = os.pathsep.join(p for p in (str(HERE.parent), os.environ.get("PYTHONPATH")) if p)
        environment = {**os.environ, "PYTHONPATH": path} if peer == "jaxviz" else None
        if environment is not None:  # it finds nothing that an earlier run has left
            self._empty = tempfile.TemporaryDirectory()
            environment["XDG_CACHE_HOME"] = self._empty.name
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=quiet, text=True,
            env=environment,
        )  # fmt: skip

    def ask(self, **request: object) -> dict[str, Any]:
        """Its answer to one request; RuntimeError if it could not do it, or ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(f"the process ended with {self.process.wait()}; VERBOSE=1 shows why")
        found = json.loads(answer)
        if "error" in found:
            raise RuntimeError(found["error"])
        return found

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


class Team:
    """The processes of several peers, started together; one that has ended is started anew.

    Example:
        with Team(["jaxviz", "torch"], python) as team:
            team["torch"].ask(…)
    """

    def __init__(self, peers: list[str], python: Path) -> None:
        self._python = python
        self.workers = {peer: Worker(peer, python) for peer in peers}

    def revive(self) -> None:
        """Start those again that have ended."""
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
