"""Compile the next layers' programs while the current layer is rendered."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import NamedTuple, Self

from jaxviz.engine.renderer import LayerRenderer
from jaxviz.errors import JaxvizError
from jaxviz.runtime.workers import core_count

# One compile keeps about two cores busy. More than eight threads would only wait for Python.
_CORES, _MOST = 2, 8


def spare_threads(lanes: int) -> int:
    """Number of layers to compile at a time, beside the one that is rendered.

    Args:
        lanes: Number of cores that step units or feed an accelerator.

    Returns:
        0 on a single core; otherwise at least 1, because lanes leave gaps even on a busy machine.

    Example:
        >>> spare_threads(10_000) <= 1
        True
    """
    cores = core_count()
    return 0 if cores == 1 else max(1, min(_MOST, (cores - lanes) // _CORES))


class Upcoming(NamedTuple):
    """A layer that will be rendered.

    Attributes:
        renderer: The layer's renderer.
        units: Number of units that it will render in all.
    """

    renderer: LayerRenderer
    units: int


class Precompiler:
    """Compiles layers ahead of time, in background threads.

    On an accelerator a layer's programs can take longer to compile than to run. An error in the
    background is dropped: the same error is raised when the layer's turn comes.

    Args:
        layers: The layers in the order of rendering. The first is compiled by its own rendering.
        threads: Number of layers compiled at a time; 0 compiles nothing ahead.

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

    def __init__(self, layers: Sequence[Upcoming], threads: int) -> None:
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
        """Start compiling the next layers, one for each free thread, and return at once."""
        while self._waiting and len(self._begun) < self._threads:
            layer = self._waiting.pop(0)
            self._begun[layer.renderer] = self._pool.submit(self._compile, layer)

    def wait(self, renderer: LayerRenderer) -> LayerRenderer | None:
        """Wait for a layer's compile.

        Returns:
            The renderer with its programs compiled; None if the compile was never started.
        """
        begun = self._begun.pop(renderer, None)
        return None if begun is None else begun.result()

    def pause(self) -> None:
        """Wait until no compile is running that would disturb a timing."""
        wait(self._begun.values())

    def _compile(self, layer: Upcoming) -> LayerRenderer:
        with contextlib.suppress(JaxvizError, RuntimeError):
            return layer.renderer.compiled(layer.units, self._ending)
        return layer.renderer
