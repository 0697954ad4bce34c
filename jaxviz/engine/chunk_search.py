"""How many units one compiled call holds on a CPU: a rule, and a search from there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from jaxviz.spec import Shape

#: Units in a call: no more than these are tried on a CPU.
MOST = 16
# Measured: as many units as keep the largest map within a core's reach of the caches.
_MAP_BYTES = 8 << 20
# And all maps together, most of which wait for the way back. With twice as many units as 5 MB of
# the largest and 120 of all allow, seven layers took 9 % more to 12 % less time, five of them less.
_ALL_BYTES = 240_000_000
# A neighbour is taken for a gain above what the clock's noise is.
GAIN = 0.04


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
    return found <= pace * (1 - GAIN)
