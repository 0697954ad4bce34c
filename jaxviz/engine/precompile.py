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

#: Cores that one compile nearly keeps busy; more threads than these would wait for Python.
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


class Precompiler:
    """Compiles some layers ahead, in threads of its own.

    On an accelerator a layer's programs take longer to compile than to run. A failure here
    happens again, and is reported, when the layer's turn comes.

    Args:
        layers: All that will be made, in order, and the number of units of each. The first is
            compiled where it is made.
        threads: How many layers are compiled at a time; none if 0.

    Example:
        with Precompiler(layers, threads=2) as ahead:
            for renderer, units in layers:
                compiled = ahead.wait(renderer)
                if compiled is None:
                    ahead.proceed()  # while this one is compiled
                ready = (compiled or renderer).settled(units, before_search=ahead.pause)
                ahead.proceed()
                …
    """

    def __init__(self, layers: Sequence[tuple[LayerRenderer, int]], threads: int) -> None:
        self._waiting = list(layers[1:]) if threads else []
        self._ending = Event()
        self._threads, self._pool = threads, ThreadPoolExecutor(max(1, threads))
        self._begun: dict[LayerRenderer, Future[LayerRenderer]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._pool.shutdown(cancel_futures=True)

    def proceed(self) -> None:
        """Begin with the next layers, as many as there are threads, and return at once."""
        while self._waiting and len(self._begun) < self._threads:
            renderer, units = self._waiting.pop(0)
            self._begun[renderer] = self._pool.submit(self._compile, renderer, units)

    def wait(self, renderer: LayerRenderer) -> LayerRenderer | None:
        """The layer's renderer with its programs compiled; None if that was not begun."""
        begun = self._begun.pop(renderer, None)
        return None if begun is None else begun.result()

    def pause(self) -> None:
        """Return when no compile is under way that would disturb a measurement."""
        wait(self._begun.values())

    def _compile(self, renderer: LayerRenderer, units: int) -> LayerRenderer:
        with contextlib.suppress(JaxvizError, RuntimeError):
            return renderer.compiled(units, self._ending)
        return renderer
