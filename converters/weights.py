"""Which stored array belongs to which layer: each way of storing has its own rule.

Layers declare their arrays (`Slot`) in Keras' order while they are lowered; a store knows
in what order, or under what name, a file holds them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from converters.hdf5 import Hdf5
from converters.layers.call import Slot
from converters.network import Layer, Network
from jaxviz.errors import ModelFileError

#: What Keras 3 has called the list of a model's layers.
CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
#: The arrays that a layer declares; None for a layer that could not be converted.
SlotsOf = Callable[[Layer], Sequence[Slot] | None]


class Array(Protocol):
    """An array that is loaded when it is needed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape, known before."""

    def load(self) -> np.ndarray:
        """The values as float32."""


@dataclass(frozen=True)
class Stored:
    """What a file holds for one layer.

    Attributes:
        arrays: The arrays that are recognised, by slot name.
        shapes: Of everything that is there.
    """

    arrays: Mapping[str, Array]
    shapes: Sequence[tuple[int, ...]] = ()


class Store(Protocol):
    """Where a model's arrays are."""

    def arrays(self, network: Network, slots_of: SlotsOf) -> Iterator[tuple[Layer, Stored]]:
        """What there is for each layer whose slots are known."""


class LegacyStore:
    """Keras 1 and 2 HDF5 (and Keras 3's `.h5`): a list of arrays for each top-level layer.

    A nested model's list holds all of its layers': first everything that is trained, then
    the rest.

    Args:
        groups: For each top-level layer the (name, array) pairs in the order of the file.
    """

    def __init__(self, groups: Mapping[str, Sequence[tuple[str, Array]]]) -> None:
        self._groups = groups

    def arrays(self, network: Network, slots_of: SlotsOf) -> Iterator[tuple[Layer, Stored]]:
        """By layer name; within a nested model by the names of the arrays, else by order."""
        groups = self._matched(network, slots_of)
        for layer in network.layers:
            stored = groups.get(layer.name, ())
            leaves = list(leaves_of([layer]))
            if leaves == [layer]:
                yield from by_order(leaves, slots_of, stored)
            else:
                yield from _by_name(leaves, slots_of, stored) or by_order(leaves, slots_of, stored)

    def _matched(
        self, network: Network, slots_of: SlotsOf
    ) -> Mapping[str, Sequence[tuple[str, Array]]]:
        """The groups under the network's layer names.

        Generated names (`conv2d_7`) depend on what else a session has built. Where they
        differ, Keras goes by the order of the layers that have arrays.
        """
        names = [
            layer.name
            for layer in network.layers
            if any(slots_of(leaf) for leaf in leaves_of([layer]))
        ]
        full = [name for name, stored in self._groups.items() if stored]
        if all(self._groups.get(name) for name in names) or len(names) != len(full):
            return self._groups
        return {mine: self._groups[theirs] for mine, theirs in zip(names, full, strict=True)}


def _by_name(
    leaves: Sequence[Layer], slots_of: SlotsOf, stored: Sequence[tuple[str, Array]]
) -> list[tuple[Layer, Stored]] | None:
    """Arrays whose names hold a layer's: `block1_conv1/kernel:0`; None if that is unclear."""
    names = {leaf.name: leaf for leaf in leaves}
    if len(names) < len(leaves):
        return None
    pairs: dict[str, list[tuple[str, Array]]] = {name: [] for name in names}
    for name, array in stored:
        parts = [part for part in name.split("/")[:-1] if part in names]
        if len(parts) != 1:
            return None
        pairs[parts[0]].append((name, array))
    result = []
    for name, leaf in names.items():
        slots = slots_of(leaf)
        if slots is not None:
            if len(slots) != len(pairs[name]):
                return None
            result += by_order([leaf], slots_of, pairs[name])
    return result


def by_order(
    leaves: Sequence[Layer], slots_of: SlotsOf, stored: Sequence[tuple[str, Array]]
) -> list[tuple[Layer, Stored]]:
    """Arrays in Keras' order: of all layers first what is trained, then the rest."""
    pairs = []
    leaves = [leaf for leaf in leaves if leaf.class_name != "InputLayer"]
    for leaf in leaves:
        slots = slots_of(leaf)
        if slots is None and len(leaves) == 1:
            return []
        if slots is None:
            raise ModelFileError(
                f"the arrays of layer {leaf.name!r} cannot be told apart from its neighbours', "
                f"because the layer itself ({leaf.class_name}) is unknown"
            )
        pairs += [(leaf, slot) for slot in slots]
    trained = [(leaf, slot) for leaf, slot in pairs if leaf.trainable and slot.trainable]
    rest = [(leaf, slot) for leaf, slot in pairs if not (leaf.trainable and slot.trainable)]
    shapes = [tuple(array.shape) for _, array in stored]
    found: dict[Layer, dict[str, Array]] = {leaf: {} for leaf in leaves}
    if len(stored) == len(pairs):
        for (leaf, slot), (_, array) in zip([*trained, *rest], stored, strict=True):
            found[leaf][slot.name] = array
    return [(leaf, Stored(found[leaf], shapes)) for leaf in leaves]


def leaves_of(layers: Sequence[Layer]) -> Iterator[Layer]:
    """Layers in order, nested models replaced by their own."""
    for layer in layers:
        if layer.network is None:
            yield layer
        else:
            yield from leaves_of(layer.network.layers)


class Keras3Store:
    """`model.weights.h5`: each layer's arrays by number, under a path of class names.

    The path counts layers of a class within their model: `layers/conv2d_1/vars/0`. Keras
    2.13 calls the list of layers `_layer_checkpoint_dependencies`.
    """

    def __init__(self, file: Hdf5) -> None:
        self._file = file

    def arrays(self, network: Network, slots_of: SlotsOf) -> Iterator[tuple[Layer, Stored]]:
        """By path."""
        yield from self._within(network, slots_of, "")

    def _within(
        self, network: Network, slots_of: SlotsOf, prefix: str
    ) -> Iterator[tuple[Layer, Stored]]:
        container = self._container(prefix)
        used: dict[str, int] = {}
        for layer in network.layers:
            if layer.operation or (layer.class_name == "InputLayer" and not layer.config):
                continue
            name = snake_case(layer.class_name)
            count = used.get(name, 0)
            used[name] = count + 1
            path = f"{container}/{name}_{count}" if count else f"{container}/{name}"
            if layer.class_name == "TimeDistributed":
                path += "/layer"
            if layer.network is not None and self._holds_layers(f"{path}/"):
                yield from self._within(layer.network, slots_of, f"{path}/")
            elif layer.network is not None:
                for leaf in leaves_of([layer]):  # of a wrapped layer there is one with arrays
                    if slots := slots_of(leaf):
                        yield leaf, self._of_layer(path, slots)
            elif (slots := slots_of(layer)) is not None:
                yield layer, self._of_layer(path, slots)

    def _holds_layers(self, prefix: str) -> bool:
        return any(f"{prefix}{name}" in self._file.groups for name in CONTAINERS)

    def _container(self, prefix: str) -> str:
        for name in CONTAINERS:
            if f"{prefix}{name}" in self._file.groups:
                return f"{prefix}{name}"
        return f"{prefix}layers"

    def _of_layer(self, path: str, slots: Sequence[Slot]) -> Stored:
        arrays: dict[str, Array] = {}
        for slot in slots:
            same = [s for s in slots if s.part == slot.part]
            ordered = [s for s in same if s.trainable] + [s for s in same if not s.trainable]
            number = ordered.index(slot) if slot.number is None else slot.number
            for part in (slot.part, f"_{slot.part}"):  # Keras 3.0 wrote attributes' own names
                where = f"{path}/{part}/vars/{number}" if slot.part else f"{path}/vars/{number}"
                if where in self._file.arrays:
                    arrays[slot.name] = self._file.arrays[where]
        own = [a.shape for name, a in self._file.arrays.items() if name.startswith(f"{path}/")]
        return Stored(arrays, own)


def snake_case(name: str) -> str:
    """A class name as Keras writes it in paths.

    Example:
        >>> snake_case("SeparableConv2D"), snake_case("ReLU")
        ('separable_conv2d', 're_lu')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
