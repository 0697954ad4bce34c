"""Work side by side on a CPU: a thread for each lane, each with its own units.

XLA spreads single operations over the cores, but not all of them, and small ones least:
a step alone keeps two cores 1.1 to 1.8 busy. Programs that are started from one thread run
one after the other, from several threads at the same time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event, Lock
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# More are not known to gain: the cores that are left share out single operations.
_MOST = 4


def lane_count(platform: str) -> int:
    """How many lanes keep this machine's cores busy; one where an accelerator computes."""
    return min(_MOST, core_count()) if platform == "cpu" else 1


def core_count() -> int:
    """How many cores this process may use.

    Example:
        >>> core_count() >= 1
        True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class CompiledOnce:
    """A jitted function for several threads: the first to call it compiles, the others wait.

    Args:
        function: From `jax.jit`; always called with the same shapes.
    """

    def __init__(self, function: Any) -> None:
        self.lower, self.eval_shape = function.lower, function.eval_shape
        self._function, self._lock, self._ready = function, Lock(), False

    def __call__(self, *arguments: Any) -> Any:
        """What the function gives."""
        if self._ready:
            return self._function(*arguments)
        with self._lock:
            result = self._function(*arguments)
            self._ready = True
            return result


def side_by_side(function: Callable[[Item, Event], Result], items: Sequence[Item]) -> list[Result]:
    """The results of a function for each item, all computed at the same time.

    Args:
        function: Given an item, and an event that is set when the others have ended early
            and it should too.
        items: One for each lane.

    Raises:
        BaseException: The first that a lane raised, or an interrupt, once all have ended.

    Example:
        >>> side_by_side(lambda number, ending: number + 1, [1, 2])
        [2, 3]
    """
    ending = Event()
    if len(items) == 1:
        return [function(items[0], ending)]
    with ThreadPoolExecutor(len(items)) as threads:
        futures = [threads.submit(function, item, ending) for item in items]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            # before the others are told to end, for that raises something too
            errors = [error for future in done if (error := future.exception())]
            if errors:
                raise errors[0]
        finally:
            ending.set()
        return [future.result() for future in futures]
