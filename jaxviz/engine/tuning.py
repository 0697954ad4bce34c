"""Tune the chunk, the number of units in one compiled call, and remember the answer.

The rule (`first_guess`) is right within a factor of two, which can cost half the speed: too many
units fall out of the caches, too few read the weights too often. So some steps are timed before
a layer's first unit, with neighbouring chunks too. The search may take a twentieth of the
layer's time, so a layer of seconds is not searched. The answer is stored by machine, network,
layer and preset. `JAXVIZ_TUNING=off` keeps the rule's answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from threading import Event

import jax
import numpy as np
from pydantic import JsonValue

from jaxviz._util.cache import cache_folder
from jaxviz.engine import chunk_search
from jaxviz.engine.chunk_search import search
from jaxviz.engine.program_cache import ProgramCache
from jaxviz.engine.slots import Slots
from jaxviz.runtime.execution import Execution
from jaxviz.runtime.workers import side_by_side

# Largest fraction of the layer's time that the search may take.
_SHARE = 0.05
# Seconds that one timing lasts.
_TIMED_SECONDS = 0.06


def likely_chunk(programs: ProgramCache, execution: Execution, units: int) -> int:
    """The chunk that `tune` tries first; nothing is measured.

    Args:
        programs: The layer's programs.
        execution: The execution by rule.
        units: Number of units that will be rendered.
    """
    if execution.tuned:
        return execution.chunk
    known = _memory(programs, execution).recall()
    return min(execution.chunk if known is None else known, _most(execution, units))


def tune(
    programs: ProgramCache,
    execution: Execution,
    units: int,
    before_search: Callable[[], object] = lambda: None,
) -> Execution:
    """Find the fastest chunk: from an earlier search, or by timing the layer's own steps.

    Args:
        programs: The layer's programs.
        execution: The execution by rule; returned unchanged if its chunk is final.
        units: Number of units that will be rendered; more units allow a longer search.
        before_search: Called before timings that nothing may disturb.

    Returns:
        The execution with a final chunk.
    """
    if execution.tuned:
        return execution
    chunk = _tuned_chunk(programs, execution, units, before_search)
    return execution.changed(chunk=chunk, tuned=True)


def _tuned_chunk(
    programs: ProgramCache, execution: Execution, units: int, before_search: Callable[[], object]
) -> int:
    memory, most = _memory(programs, execution), _most(execution, units)
    known = memory.recall()
    if known is not None:
        return min(known, most)
    guess = min(execution.chunk, most)

    def seconds(pace: float) -> float:
        return _SHARE * pace * units * programs.setup.preset.steps

    began = time.perf_counter()
    pace = partial(measure_pace, programs, execution.lanes)
    rough = pace(guess, lasting=0)  # compiles a program that is needed anyway
    # another chunk takes as long to compile; this one may have been compiled ahead
    each = max(time.perf_counter() - began, programs.step_compile_seconds)
    if each > seconds(rough):
        return guess
    before_search()
    found = search(guess, most, pace, seconds, again=pace, each=each)
    if found.complete and most == chunk_search.MOST:
        memory.keep(found.chunk)
    return found.chunk


def _most(execution: Execution, units: int) -> int:
    return min(chunk_search.MOST, -(-units // execution.lanes))


def _memory(programs: ProgramCache, execution: Execution) -> Memory:
    setup = programs.setup
    return Memory(
        {
            "model": setup.spec.digest,
            "layer": setup.layer,
            "shape": list(setup.shape),
            "preset": setup.preset.model_dump(mode="json"),
            "forms": {**execution.implementations},
            "lanes": execution.lanes,
        }
    )


def measure_pace(
    programs: ProgramCache, lanes: int, chunk: int, lasting: float = _TIMED_SECONDS
) -> float:
    """Measure the seconds per unit and step while all lanes work.

    Args:
        programs: The layer's programs.
        lanes: Number of calls at the same time.
        chunk: Number of units in each call.
        lasting: Seconds that one timing lasts; 0 for a rough answer.
    """
    program, weights = programs.main, programs.weights
    keys = np.arange(2 * chunk, dtype=np.uint32).reshape(chunk, 2)
    own = Slots(program, weights, chunk).replicated(
        np.arange(chunk) % programs.setup.units, keys, None, None
    )
    numbers = jax.device_put(own.channels)

    def run(count: int, ending: Event) -> float:
        state = jax.block_until_ready(program.start(weights, own.keys, own.rescue))
        began = time.perf_counter()
        state = program.advance(weights, state, numbers, count)
        jax.block_until_ready(state)
        return time.perf_counter() - began

    def pace(count: int) -> float:
        return max(side_by_side(run, [count] * lanes)) / count

    once = min(pace(1), pace(2))  # the first compiles
    if lasting:  # twice more, because other work may slow one down
        count = max(1, round(lasting / once))
        once = min(once, pace(count), pace(count))
    return once / (chunk * lanes)


class Memory:
    """Remembers a search's answer in a small file; deleting the file costs only a search.

    Args:
        about: Everything that the answer depends on, except the machine.
    """

    def __init__(self, about: Mapping[str, JsonValue]) -> None:
        text = json.dumps({**about, "machine": machine()}, sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:32]
        self.path = cache_folder("tuning") / f"{name}.json"

    def recall(self) -> int | None:
        """The stored number of units in a call; None if there is no valid one."""
        try:
            found = json.loads(self.path.read_text())["chunk"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, int) and 1 <= found <= chunk_search.MOST else None

    def keep(self, chunk: int) -> None:
        """Store the number of units in a call; an unwritable folder is not an error."""
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft = self.path.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps({"chunk": chunk}))
            draft.replace(self.path)


@cache
def machine() -> dict[str, JsonValue]:
    """Describe the kind of processor, without anything that identifies one machine."""
    import jaxlib

    model = platform.processor()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {"processor": model, "cores": os.cpu_count(), "jaxlib": jaxlib.__version__}
