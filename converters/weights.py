"""Which stored array belongs to which layer: each way of storing has its own rule.

Layers declare their arrays (`Slot`) in Keras' order while they are lowered; a store knows
in what order, or under what name, a file holds them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from converters.hdf5 import Hdf5, StoredArray
from converters.layers.call import Slot
from converters.network import Layer, Network
from jaxviz.errors import ModelFileError

#: The arrays that a layer declares; None for a layer that could not be converted.
SlotsOf = Callable[[Layer], Sequence[Slot] | None]


class Array(Protocol):
    """An array that is loaded when it is needed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape, known before."""

    def load(self) -> np.ndarray:
        """The values as float32."""


class Store(Protocol):
    """Where a model's arrays are."""

    def arrays(self, network: Network, slots_of: SlotsOf) -> Iterator[tuple[Layer, list[Array]]]:
        """For each layer its arrays, in the order of its slots, as far as there are any."""


class LegacyStore:
    """Keras 1 and 2 HDF5 (and Keras 3's `.h5`): a list of arrays for each top-level layer.

    A nested model's list holds all of its layers': first everything that is trained, then
    the rest.

    Args:
        groups: For each top-level layer the (name, array) pairs in the order of the file.
    """

    def __init__(self, groups: Mapping[str, Sequence[tuple[str, Array]]]) -> None:
        self._groups = groups

    def arrays(self, network: Network, slots_of: SlotsOf) -> Iterator[tuple[Layer, list[Array]]]:
        """By layer name; within a nested model by the names of the arrays, else by order."""
        for layer in network.layers:
            stored = self._groups.get(layer.name, ())
            leaves = list(_leaves([layer]))
            if leaves == [layer]:
                slots = slots_of(layer)
                if slots is not None:
                    order = _trained_first([(layer, slot) for slot in slots], lambda pair: pair)
                    yield layer, _by_slot(slots, [slot for _, slot in order], stored)
                continue
            yield from _by_name(leaves, slots_of, stored) or _by_order(leaves, slots_of, stored)


def _by_slot(
    slots: Sequence[Slot], order: Sequence[Slot], stored: Sequence[tuple[str, Array]]
) -> list[Array]:
    """Arrays in slot order from arrays in file order; short where the file has too few."""
    if len(stored) != len(order):
        return [array for _, array in stored]
    found = {slot.name: array for slot, (_, array) in zip(order, stored, strict=True)}
    return [found[slot.name] for slot in slots]


def _trained_first(items: list, key: Callable) -> list:  # type: ignore[type-arg]
    def trained(item: object) -> bool:
        layer, slot = key(item)
        return layer.trainable and slot.trainable

    return [i for i in items if trained(i)] + [i for i in items if not trained(i)]


def _by_name(
    leaves: Sequence[Layer], slots_of: SlotsOf, stored: Sequence[tuple[str, Array]]
) -> list[tuple[Layer, list[Array]]] | None:
    """Arrays whose names start with a layer's: `block1_conv1/kernel:0`; None if that is unclear."""
    names = {leaf.name: leaf for leaf in leaves}
    if len(names) < len(leaves):
        return None
    found: dict[str, list[Array]] = {}
    for name, array in stored:
        parts = [part for part in name.split("/")[:-1] if part in names]
        if len(parts) != 1:
            return None
        found.setdefault(parts[0], []).append(array)
    result = []
    for leaf in leaves:
        slots = slots_of(leaf)
        arrays = found.get(leaf.name, [])
        if slots is None:
            continue
        if len(arrays) != len(slots):
            return None
        order = _trained_first([(leaf, slot) for slot in slots], lambda pair: pair)
        pairs = [("", array) for array in arrays]
        result.append((leaf, _by_slot(slots, [slot for _, slot in order], pairs)))
    return result


def _by_order(
    leaves: Sequence[Layer], slots_of: SlotsOf, stored: Sequence[tuple[str, Array]]
) -> Iterator[tuple[Layer, list[Array]]]:
    pairs = []
    for leaf in leaves:
        slots = slots_of(leaf)
        if slots is None:
            raise ModelFileError(
                f"the arrays of layer {leaf.name!r} cannot be told apart from its neighbours', "
                f"because the layer itself ({leaf.class_name}) is unknown"
            )
        pairs += [(leaf, slot) for slot in slots]
    order = _trained_first(pairs, lambda pair: pair)
    found = {
        (id(leaf), slot.name): array
        for (leaf, slot), (_, array) in zip(order, stored, strict=False)
    }
    for leaf in leaves:
        slots = slots_of(leaf) or ()
        yield leaf, [found[id(leaf), s.name] for s in slots if (id(leaf), s.name) in found]


def _leaves(layers: Sequence[Layer]) -> Iterator[Layer]:
    for layer in layers:
        if layer.network is None:
            yield layer
        else:
            yield from _leaves(layer.network.layers)


class Keras3Store:
    """`model.weights.h5`: each layer's arrays by number, under a path of class names.

    The path counts layers of a class within their model: `layers/conv2d_1/vars/0`. Keras
    2.13 calls the list of layers `_layer_checkpoint_dependencies`.
    """

    def __init__(self, file: Hdf5) -> None:
        self._file = file

    def arrays(self, network: Network, slots_of: SlotsOf) -> Iterator[tuple[Layer, list[Array]]]:
        """By path."""
        yield from self._within(network, slots_of, "")

    def _within(
        self, network: Network, slots_of: SlotsOf, prefix: str
    ) -> Iterator[tuple[Layer, list[Array]]]:
        container = self._container(prefix)
        used: dict[str, int] = {}
        for layer in network.layers:
            if layer.operation or (layer.class_name == "InputLayer" and not layer.config):
                continue
            name = snake_case(layer.class_name)
            count = used.get(name, 0)
            used[name] = count + 1
            path = f"{container}/{name}_{count}" if count else f"{container}/{name}"
            if layer.network is not None:
                yield from self._within(layer.network, slots_of, f"{path}/")
            elif (slots := slots_of(layer)) is not None:
                yield layer, self._of_layer(path, slots)

    def _container(self, prefix: str) -> str:
        for name in ("layers", "_layer_checkpoint_dependencies"):
            if f"{prefix}{name}" in self._file.groups:
                return f"{prefix}{name}"
        return f"{prefix}layers"

    def _of_layer(self, path: str, slots: Sequence[Slot]) -> list[Array]:
        arrays: list[Array] = []
        for slot in slots:
            same = [s for s in slots if s.part == slot.part]
            ordered = [s for s in same if s.trainable] + [s for s in same if not s.trainable]
            part = f"{path}/{slot.part}" if slot.part else path
            array: StoredArray | None = self._file.arrays.get(f"{part}/vars/{ordered.index(slot)}")
            if array is None:
                break
            arrays.append(array)
        return arrays


def snake_case(name: str) -> str:
    """A class name as Keras writes it in paths.

    Example:
        >>> snake_case("SeparableConv2D"), snake_case("ReLU")
        ('separable_conv2d', 're_lu')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
