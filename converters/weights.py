"""Which stored array belongs to which layer: one rule for each file format.

While a layer is lowered, it declares its arrays (`Slot`) in Keras' order. A store knows the
order, or the names, under which a file holds them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from converters.hdf5 import Hdf5
from converters.layers.call import Slot
from converters.network import Layer, Network
from jaxviz.errors import ModelFileError
from jaxviz.spec import Source

#: The names that versions of Keras 3 give to the list of a model's layers.
CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
#: The arrays that a layer declares; None for a layer that could not be converted.
SlotsOf = Callable[[Layer], Sequence[Slot] | None]


class Array(Protocol):
    """An array of which only the shape is known until it is loaded."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""

    def load(self) -> np.ndarray:
        """Read the values, as float32."""


class NamedArray(NamedTuple):
    """A stored array with its name.

    Attributes:
        name: The name in the file.
        array: The array.
    """

    name: str
    array: Array


@dataclass(frozen=True)
class Stored:
    """The arrays that a file holds for one layer.

    Attributes:
        arrays: The recognised arrays, by slot name.
        shapes: The shapes of all arrays, recognised or not.
    """

    arrays: Mapping[str, Array]
    shapes: Sequence[tuple[int, ...]] = ()


class Store(Protocol):
    """Holds a model's arrays."""

    def arrays(self, network: Network, slots_of: SlotsOf) -> Iterator[tuple[Layer, Stored]]:
        """The arrays of each layer whose slots are known."""


class OpenedModel(NamedTuple):
    """A model that was read, its arrays not loaded yet.

    Attributes:
        network: The architecture.
        store: The arrays.
        source: Where the model came from, for the spec.
    """

    network: Network
    store: Store
    source: Source


class LegacyStore:
    """HDF5 of Keras 1 and 2, and Keras 3's `.h5`: a list of arrays for each top-level layer.

    The list of a nested model holds the arrays of all its layers: first all trained arrays,
    then all others.

    Args:
        groups: The arrays of each top-level layer, in the order of the file.
    """

    def __init__(self, groups: Mapping[str, Sequence[NamedArray]]) -> None:
        self._groups = groups

    def arrays(self, network: Network, slots_of: SlotsOf) -> Iterator[tuple[Layer, Stored]]:
        """Match layers by name; within a nested model match arrays by name, else by order."""
        groups = self._matched(network, slots_of)
        for layer in network.layers:
            stored = groups.get(layer.name, ())
            leaves = list(leaves_of([layer]))
            if leaves == [layer]:
                yield from by_order(leaves, slots_of, stored)
            else:
                yield from _by_name(leaves, slots_of, stored) or by_order(leaves, slots_of, stored)

    def _matched(self, network: Network, slots_of: SlotsOf) -> Mapping[str, Sequence[NamedArray]]:
        """The groups under the network's layer names.

        Generated names (`conv2d_7`) count all layers of a Python session. Where file and
        architecture differ, Keras matches the layers that have arrays in order.
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
    leaves: Sequence[Layer], slots_of: SlotsOf, stored: Sequence[NamedArray]
) -> list[tuple[Layer, Stored]] | None:
    """Match arrays whose names contain a layer's (`block1_conv1/kernel:0`); None if unclear."""
    names = {leaf.name: leaf for leaf in leaves}
    if len(names) < len(leaves):
        return None
    found: dict[str, list[NamedArray]] = {name: [] for name in names}
    for named in stored:
        parts = [part for part in named.name.split("/")[:-1] if part in names]
        if len(parts) != 1:
            return None
        found[parts[0]].append(named)
    result = []
    for name, leaf in names.items():
        slots = slots_of(leaf)
        if slots is not None:
            if len(slots) != len(found[name]):
                return None
            result += by_order([leaf], slots_of, found[name])
    return result


def by_order(
    leaves: Sequence[Layer], slots_of: SlotsOf, stored: Sequence[NamedArray]
) -> list[tuple[Layer, Stored]]:
    """Match arrays in Keras' order: first the trained arrays of all layers, then all others.

    Args:
        leaves: The layers that share the arrays.
        slots_of: The arrays that each layer declares.
        stored: The arrays, in the order of the file.

    Raises:
        ModelFileError: If one of several layers is unknown, so that its arrays cannot be
            counted.
    """
    pairs = []
    leaves = [leaf for leaf in leaves if leaf.class_name != "InputLayer"]
    for leaf in leaves:
        slots = slots_of(leaf)
        if slots is None and len(leaves) == 1:
            return []
        if slots is None:
            raise ModelFileError(
                f"cannot tell the arrays of layer {leaf.name!r} from those of its neighbours, "
                f"because the number of arrays of a {leaf.class_name} is unknown"
            )
        pairs += [(leaf, slot) for slot in slots]
    trained = [(leaf, slot) for leaf, slot in pairs if leaf.trainable and slot.trainable]
    rest = [(leaf, slot) for leaf, slot in pairs if not (leaf.trainable and slot.trainable)]
    shapes = [tuple(named.array.shape) for named in stored]
    found: dict[Layer, dict[str, Array]] = {leaf: {} for leaf in leaves}
    if len(stored) == len(pairs):
        for (leaf, slot), named in zip([*trained, *rest], stored, strict=True):
            found[leaf][slot.name] = named.array
    return [(leaf, Stored(found[leaf], shapes)) for leaf in leaves]


def leaves_of(layers: Sequence[Layer]) -> Iterator[Layer]:
    """Layers in order, with the layers of a nested model in its place."""
    for layer in layers:
        if layer.network is None:
            yield layer
        else:
            yield from leaves_of(layer.network.layers)


class Keras3Store:
    """`model.weights.h5`: each layer's arrays by number, under a path of class names.

    The path counts the layers of each class within their model: `layers/conv2d_1/vars/0`.
    Keras 2.13 calls the list of layers `_layer_checkpoint_dependencies`.

    Args:
        file: The HDF5 file.
    """

    def __init__(self, file: Hdf5) -> None:
        self._file = file

    def arrays(self, network: Network, slots_of: SlotsOf) -> Iterator[tuple[Layer, Stored]]:
        """Match layers by path."""
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
                for leaf in leaves_of([layer]):  # of a wrapped layer, one leaf has arrays
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
