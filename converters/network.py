"""A Keras model as neutral data: layers, their calls, and the tensors that connect them.

Every reader (`.keras`, HDF5, TensorFlow.js, live models) produces a `Network`. Every later
step sees only the `Network`, so no later step depends on a file format.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from converters.document import Json
from jaxviz.errors import ModelFileError

#: An argument of a call: JSON in which a `Ref` stands for each tensor.
Argument: TypeAlias = (
    "Ref | None | bool | int | float | str | Sequence[Argument] | Mapping[str, Argument]"
)


@dataclass(frozen=True)
class Ref:
    """A reference to one tensor of the same network.

    Attributes:
        layer: Name of the layer that makes the tensor.
        call: Number of the layer's call, from 0.
        tensor: Number of the tensor among the results of the call, from 0.
    """

    layer: str
    call: int = 0
    tensor: int = 0


@dataclass(frozen=True)
class Call:
    """The arguments of one call of a layer.

    Attributes:
        args: Positional arguments.
        kwargs: Keyword arguments.
    """

    args: tuple[Argument, ...]
    kwargs: dict[str, Argument] = field(default_factory=dict)

    def refs(self) -> tuple[Ref, ...]:
        """Every tensor that the call reads, in order."""
        return tuple(_refs([*self.args, *self.kwargs.values()]))


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer, or a function in a graph, as its file describes it.

    Layers compare by identity: two nested models may hold layers that look alike.

    Attributes:
        class_name: Keras' class name, without module or package.
        name: The name in the file: any text, unique within the network.
        config: The configuration that the class wrote.
        calls: In Keras' order. A shared layer has several.
        network: The inner network of a nested model; None for a plain layer.
        operation: Whether the entry is a function in a graph (`ops.add`). Keras does not
            count functions among a model's layers.
        package: Where the class comes from; empty for Keras' own classes.
    """

    class_name: str
    name: str
    config: dict[str, Json]
    calls: tuple[Call, ...]
    network: Network | None = None
    operation: bool = False
    package: str = ""

    @property
    def trainable(self) -> bool:
        """Whether Keras trains the layer; its files list arrays of trainable layers first."""
        return self.config.get("trainable", True) is not False


@dataclass(frozen=True, eq=False)
class Network:
    """A graph of layers.

    Attributes:
        name: The name in the file.
        layers: In the order of the file.
        inputs: Outputs of the input layers, in the order of the network's arguments.
        outputs: The tensors that a call of the network returns.
        keras: Version of Keras that wrote the file, as numbers; (0,) if unknown.
    """

    name: str
    layers: tuple[Layer, ...]
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]
    keras: tuple[int, ...] = (0,)

    def calls(self) -> Iterator[tuple[Layer, int]]:
        """Each call after the calls that it reads from, otherwise in the order of the file.

        Yields:
            The layer and the number of its call.

        Raises:
            ModelFileError: If calls form a circle, or read from a call that does not exist.
        """
        listed = [(layer, i) for layer in self.layers for i in range(len(layer.calls))]
        known = {(layer.name, i): n for n, (layer, i) in enumerate(listed)}
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
            raise ModelFileError(
                f"the graph of model {self.name!r} has a circle, so these layers wait for ever",
                details=stuck[:20],
            )


def _refs(value: Argument) -> Iterator[Ref]:
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _refs(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _refs(item)
