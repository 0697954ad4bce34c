"""Compile the programs of the next layers while this one's units are made."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Self

from jaxviz.engine.renderer import LayerRenderer
from jaxviz.errors import JaxvizError
from jaxviz.runtime.workers import core_count

#: Cores that one compile keeps busy, nearly; more threads than these would wait for Python.
_CORES, _MOST = 2, 8


def spare_threads(lanes: int) -> int:
    """How many layers to compile at a time, besides those that are made.

    Args:
        lanes: Cores at work on units, or on feeding an accelerator.

    Example:
        >>> spare_threads(10_000) <= 1
        True
    """
    cores = core_count()
    # even where all are at work: lanes wait for Python, and no layer's beginning needs them all
    return 0 if cores == 1 else max(1, min(_MOST, (cores - lanes) // _CORES))


class Ahead:
    """Compiles some layers ahead, in threads of its own.

    On an accelerator a layer's programs take longer to compile than to run, and a small layer's do
    on a CPU. Whatever goes wrong here goes wrong again when the layer's turn comes, and is told
    then.

    Args:
        layers: All that will be made, in order, and how many units of each. The first is left
            to be compiled where it is made.
        threads: How many layers are compiled at a time; none if 0.

    Example:
        with Ahead(layers, threads=2) as ahead:
            for renderer, units in layers:
                if not ahead.wait(renderer):
                    ahead.go_on()  # while this one is compiled
                renderer.tune(units, before_search=ahead.settle)
                ahead.go_on()
                …
    """

    def __init__(self, layers: Sequence[tuple[LayerRenderer, int]], threads: int) -> None:
        self._waiting = list(layers[1:]) if threads else []
        self._ending = Event()
        self._threads, self._pool = threads, ThreadPoolExecutor(max(1, threads))
        self._begun: dict[LayerRenderer, Future[None]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._pool.shutdown(cancel_futures=True)

    def go_on(self) -> None:
        """Begin with the next layers, as many as there are threads, and return at once."""
        while self._waiting and len(self._begun) < self._threads:
            renderer, units = self._waiting.pop(0)
            self._begun[renderer] = self._pool.submit(self._compile, renderer, units)

    def wait(self, renderer: LayerRenderer) -> bool:
        """Until the layer's programs are compiled, if that was begun; whether it was."""
        begun = self._begun.pop(renderer, None)
        if begun is not None:
            begun.result()
        return begun is not None

    def settle(self) -> None:
        """Until nothing is compiled any more that would be in the way of a measurement."""
        wait(self._begun.values())

    def _compile(self, renderer: LayerRenderer, units: int) -> None:
        with contextlib.suppress(JaxvizError, RuntimeError):
            renderer.compile(units, self._ending)
