"""Lanes: threads on a CPU that each compute their own units.

XLA spreads an operation over the cores, but not every operation and not the small ones, so a step
leaves cores idle. Programs started by one thread run one after the other; programs of several
threads run at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event, Lock
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# More lanes have no measured gain, because XLA spreads large operations over the other cores.
_MOST = 4


def lane_count(platform: str) -> int:
    """Lanes that keep this machine's cores busy; 1 on an accelerator."""
    return min(_MOST, core_count()) if platform == "cpu" else 1


def core_count() -> int:
    """Cores that this process may use.

    Example:
        >>> core_count() >= 1
        True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class CompiledOnce:
    """A jitted function for several threads: the first call compiles while the others wait.

    Args:
        function: Result of `jax.jit`; always called with equal shapes.
    """

    def __init__(self, function: Any) -> None:
        self.lower, self.eval_shape = function.lower, function.eval_shape
        self._function, self._lock, self._ready = function, Lock(), False

    def __call__(self, *arguments: Any) -> Any:
        """The function's result."""
        if self._ready:
            return self._function(*arguments)
        with self._lock:
            result = self._function(*arguments)
            self._ready = True
            return result


def side_by_side(function: Callable[[Item, Event], Result], items: Sequence[Item]) -> list[Result]:
    """The results of a function for several items, computed at once in a thread each.

    Args:
        function: Called with an item and an event. The event is set when another lane failed,
            and the function should then return early.
        items: One for each lane.

    Raises:
        BaseException: The first exception of a lane, or an interrupt, once all lanes have ended.

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
            # before the others are told to end, because ending early raises too
            errors = [error for future in done if (error := future.exception())]
            if errors:
                raise errors[0]
        finally:
            ending.set()
        return [future.result() for future in futures]
