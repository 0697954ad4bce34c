"""How many units one compiled call holds: measured at the start of a layer, and remembered.

The rule (`first_guess`) is right within a factor of two, and that factor can be worth half
the time: too many units fall out of the caches, too few read the weights too often. So
before a layer's first unit a few steps are timed, and its neighbours tried for as long as
that pays: all of it takes no more than a twentieth of what the layer will, so that a layer
of seconds is not searched at all. What was found is kept by machine, network, layer and
recipe, so that the next run of the same finds it at once. `JAXVIZ_TUNING=off` leaves the
rule's answer as it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxviz._util import settings
from jaxviz._util.cache import cache_folder
from jaxviz.engine.slots import Slots
from jaxviz.runtime.workers import side_by_side
from jaxviz.spec import Shape

if TYPE_CHECKING:
    from jaxviz.engine.renderer import LayerRenderer

#: Units in a call: no more than these are tried on a CPU.
MOST = 16
# Measured: as many units as keep the largest map within a core's reach of the caches.
_MAP_BYTES = 8 << 20
# And all maps together, most of which wait for the way back. With twice as many units as 5 MB of
# the largest and 120 of all allow, seven layers took 9 % more to 12 % less time, five of them less.
_ALL_BYTES = 240_000_000
# Time that may be spent on the search, relative to what the layer takes.
_SHARE = 0.05
# How long each measurement lasts.
_TIMED_SECONDS = 0.06
# A neighbour is taken for a gain above what the clock's noise is.
_GAIN = 0.04


def first_guess(shapes: Mapping[str, Shape]) -> int:
    """Units in a call by rule, a power of two.

    Args:
        shapes: Of everything that is computed for a unit.

    Example:
        >>> first_guess({"conv1": (96, 96, 64)})
        2
        >>> first_guess({"conv5": (6, 6, 512)})
        16
        >>> first_guess({f"conv{n}": (48, 48, 32) for n in range(60)})
        8
    """
    sizes = [4 * math.prod(n or 1 for n in shape) for shape in shapes.values()]
    fitting = max(1, min(MOST, _MAP_BYTES // max(sizes), _ALL_BYTES // sum(sizes)))
    return 1 << (fitting.bit_length() - 1)


class Found(NamedTuple):
    """What a search found.

    Attributes:
        chunk: Units in a call.
        complete: Whether both sides were looked at, as far as there were any.
    """

    chunk: int
    complete: bool


def search(
    guess: int,
    most: int,
    measure: Callable[[int], float],
    seconds: Callable[[float], float],
    again: Callable[[int], float] = lambda units: math.inf,
    each: float = 0.0,
) -> Found:
    """The fastest number of units in a call, by doubling and halving from a guess.

    Args:
        guess: Where to begin.
        most: The largest that makes sense.
        measure: Units in a call -> seconds per unit and step.
        seconds: Seconds per unit and step of the guess -> what the search may take.
        again: What `measure` gave, once more, of what is compiled by then; the better counts. Asked
            of both before one takes the other's place, for other work may have held one up.
        each: Seconds that `measure` takes of any but the guess, which is compiled by then.

    Example:
        >>> search(4, 16, lambda units: abs(units - 8) + 1, lambda pace: 60.0)
        Found(chunk=8, complete=True)
        >>> search(4, 16, lambda units: abs(units - 8) + 1, lambda pace: 0.0)
        Found(chunk=4, complete=False)
    """
    began = time.perf_counter()
    best, pace = guess, measure(guess)
    each += time.perf_counter() - began
    end = began + seconds(pace)
    for factor in (0.5, 2.0):
        gained = False
        while 1 <= (other := int(best * factor)) <= most and other != best:
            if time.perf_counter() + each > end:
                return Found(best, complete=False)
            found = measure(other)
            if _gains(found, pace):
                pace, found = min(pace, again(best)), min(found, again(other))
            if not _gains(found, pace):
                break
            best, pace, gained = other, found, True
        if gained:
            break
    return Found(best, complete=True)


def _gains(found: float, pace: float) -> bool:
    return found <= pace * (1 - _GAIN)


def allowed() -> bool:
    """Whether measuring is on; ConfigError if JAXVIZ_TUNING is neither `on` nor `off`."""
    return settings.TUNING.read() == "on"


def likely_chunk(renderer: LayerRenderer, units: int) -> int:
    """Units in a call that `tuned_chunk` will begin with."""
    known = _memory(renderer).recall()
    return min(renderer.chunk if known is None else known, _most(renderer, units))


def tuned_chunk(
    renderer: LayerRenderer, units: int, before_search: Callable[[], object] = lambda: None
) -> int:
    """Units in a call for a layer of so many, from memory or by measuring its own steps."""
    memory, most = _memory(renderer), _most(renderer, units)
    known = memory.recall()
    if known is not None:
        return min(known, most)
    guess = min(renderer.chunk, most)

    def seconds(pace: float) -> float:
        return _SHARE * pace * units * renderer.preset.steps

    began = time.perf_counter()
    rough = _pace(renderer, guess, lasting=0)  # compiles what is needed in any case
    # a neighbour's compile takes as long, and this one may have been compiled ahead
    each = max(time.perf_counter() - began, renderer.compiling)
    if each > seconds(rough):
        return guess
    before_search()
    pace = partial(_pace, renderer)
    found = search(guess, most, pace, seconds, again=pace, each=each)
    if found.complete and most == MOST:
        memory.keep(found.chunk)
    return found.chunk


def _most(renderer: LayerRenderer, units: int) -> int:
    return min(MOST, -(-units // renderer.lanes))


def _memory(renderer: LayerRenderer) -> Memory:
    return Memory(
        {
            "model": renderer.spec.digest,
            "layer": renderer.layer,
            "shape": renderer.shape,
            "preset": renderer.preset.model_dump(mode="json"),
            "forms": dict(renderer.implementations),
            "lanes": renderer.lanes,
        }
    )


def _pace(renderer: LayerRenderer, chunk: int, lasting: float = _TIMED_SECONDS) -> float:
    """Seconds per unit and step with so many units in a call, all lanes at work."""
    program, params = renderer._program(), renderer._params
    keys = np.arange(2 * chunk, dtype=np.uint32).reshape(chunk, 2)
    channels, own, _, helps = Slots(program, params, chunk).replicated(
        np.arange(chunk) % renderer.units_in_layer, keys, None, None
    )
    numbers = jax.device_put(channels)

    def run(count: int, ending: Event) -> float:
        state = jax.block_until_ready(program.start(params, own, helps))
        began = time.perf_counter()
        state = program.advance(params, state, numbers, count)
        jax.block_until_ready(state)
        return time.perf_counter() - began

    def pace(count: int) -> float:
        return max(side_by_side(run, [count] * renderer.lanes)) / count

    once = min(pace(1), pace(2))  # the first compiles
    if lasting:  # twice more, however long a step takes: once may have been held up
        count = max(1, round(lasting / once))
        once = min(once, pace(count), pace(count))
    return once / (chunk * renderer.lanes)


class Memory:
    """What was found, in small files that nobody needs: deleting them costs a search.

    Args:
        about: Everything that the answer depends on, besides the machine; JSON values.
    """

    def __init__(self, about: Mapping[str, Any]) -> None:
        text = json.dumps({**about, "machine": machine()}, sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:32]
        self.path = cache_folder("tuning") / f"{name}.json"

    def recall(self) -> int | None:
        """Units in a call, or None where nothing usable is known."""
        try:
            found = json.loads(self.path.read_text())["chunk"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, int) and 1 <= found <= MOST else None

    def keep(self, chunk: int) -> None:
        """Remember it; a folder that cannot be written is no error."""
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft = self.path.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps({"chunk": chunk}))
            draft.replace(self.path)


@cache
def machine() -> dict[str, Any]:
    """The kind of processor, without any name that tells one machine from its like."""
    import jaxlib

    model = platform.processor()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {"processor": model, "cores": os.cpu_count(), "jaxlib": jaxlib.__version__}
