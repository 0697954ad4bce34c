"""The number of units in one compiled call on a CPU: a rule, then a search from there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from jaxviz.spec import Shape

#: Largest number of units in a call that is tried on a CPU.
MOST = 16
# Bytes of the largest map of a call's units: about a core's reach of the caches.
_MAP_BYTES = 8 << 20
# Bytes of all maps of a call's units, most of which wait for the backward pass.
_ALL_BYTES = 240_000_000
#: Least relative gain of a neighbouring size, above the noise of the clock.
GAIN = 0.04


def first_guess(shapes: Mapping[str, Shape]) -> int:
    """The number of units in a call by rule, a power of two.

    Args:
        shapes: Shape of every map that is computed for a unit, by node.

    Returns:
        1 to `MOST`.

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
    """The result of a search.

    Attributes:
        chunk: Number of units in a call.
        complete: Whether both smaller and larger sizes were timed, as far as there are any.
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
    """Find the fastest number of units in a call, by doubling and halving a first guess.

    Args:
        guess: The size to start from.
        most: The largest sensible size.
        measure: Times a size: number of units -> seconds per unit and step.
        seconds: Seconds per unit and step of the guess -> seconds that the search may take.
        again: Re-times a compiled size; the faster timing counts. Both sizes are re-timed before
            one replaces the other, because other work may have slowed down one timing.
        each: Seconds that `measure` takes to compile a size other than the guess.

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
