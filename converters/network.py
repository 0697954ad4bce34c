"""A Keras model as neutral data: layers, their calls, and how calls feed each other.

Every source (a `.keras` zip, an HDF5 file, TensorFlow.js, a live model) ends here, and
everything after works on this alone.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jaxviz.errors import ModelFileError


@dataclass(frozen=True)
class Ref:
    """One tensor: which result of which call of which layer of the same network."""

    layer: str
    call: int = 0
    tensor: int = 0


@dataclass(frozen=True)
class Call:
    """Arguments of one call; tensors stand in them as `Ref`, lists and dicts as they are."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def refs(self) -> tuple[Ref, ...]:
        """Every tensor that the call reads, in order."""
        return tuple(_refs([*self.args, *self.kwargs.values()]))


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer, or a bare operation, as its file describes it; compared by identity.

    Attributes:
        class_name: Keras' class name, without module or package.
        name: As in the file: any text, unique within its network.
        config: The class's own configuration.
        calls: In Keras' order; a shared layer has several.
        network: What a nested model consists of; None for a plain layer.
        operation: Whether it is a function in a graph (`ops.add`), which Keras does not
            count among a model's layers.
        package: Where the class comes from, if it is known not to be Keras' own.
    """

    class_name: str
    name: str
    config: dict[str, Any]
    calls: tuple[Call, ...]
    network: Network | None = None
    operation: bool = False
    package: str = ""

    @property
    def trainable(self) -> bool:
        """Keras orders a layer's arrays by this."""
        return self.config.get("trainable", True) is not False


@dataclass(frozen=True, eq=False)
class Network:
    """A graph of layers.

    Attributes:
        name: As in the file.
        layers: In the order of the file.
        inputs: What the network is called on: outputs of its input layers.
        outputs: What a call gives.
        keras: Version that wrote it, as a tuple of numbers; (0,) where it is not known.
    """

    name: str
    layers: tuple[Layer, ...]
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]
    keras: tuple[int, ...] = (0,)

    def calls(self) -> Iterator[tuple[Layer, int]]:
        """Each call after those it reads from, otherwise in the order of the file.

        Raises:
            ModelFileError: If calls wait for each other in a circle, or for nothing.
        """
        known = {(layer.name, i): n for n, (layer, i) in enumerate(self._listed())}
        listed = list(self._listed())
        waiting = []
        readers: dict[int, list[int]] = {}
        for n, (layer, i) in enumerate(listed):
            sources = set()
            for ref in layer.calls[i].refs():
                source = known.get((ref.layer, ref.call))
                if source is None:
                    raise ModelFileError(
                        f"layer {layer.name!r} reads from {ref.layer!r} (call {ref.call}), "
                        "which the model does not have"
                    )
                sources.add(source)
            waiting.append(len(sources))
            for source in sources:
                readers.setdefault(source, []).append(n)
        ready = [n for n, count in enumerate(waiting) if not count]
        done = 0
        while ready:
            n = heapq.heappop(ready)
            done += 1
            yield listed[n]
            for reader in readers.get(n, ()):
                waiting[reader] -= 1
                if not waiting[reader]:
                    heapq.heappush(ready, reader)
        if done < len(listed):
            stuck = sorted({listed[n][0].name for n, count in enumerate(waiting) if count})
            raise ModelFileError("the model's graph has a circle", details=stuck[:20])

    def _listed(self) -> Iterator[tuple[Layer, int]]:
        return ((layer, i) for layer in self.layers for i in range(len(layer.calls)))


def _refs(value: Any) -> Iterator[Ref]:
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _refs(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _refs(item)
