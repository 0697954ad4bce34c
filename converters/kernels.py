"""Kernels of old HDF5 files, rearranged to the layout of Keras 2 on TensorFlow.

Keras 1 orders some axes otherwise. Theano stores kernels back to front, because it computes
true convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from converters.network import Layer, Network
from converters.weights import Array, SlotsOf, Store, Stored

#: Keras 1's order of axes by (class, channels come first); Keras 2 keeps the order of all others.
_KERAS1_ORDER: dict[tuple[str, bool], tuple[int, ...]] = {
    ("Conv2D", True): (2, 3, 1, 0),
    ("SeparableConv2D", True): (2, 3, 1, 0),
    ("Conv3D", True): (2, 3, 4, 1, 0),
    ("Conv2DTranspose", True): (2, 3, 0, 1),
    ("Conv2DTranspose", False): (0, 1, 3, 2),
}
#: Layers that Theano computes as true convolutions.
_TURNED = frozenset(["Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose"])


@dataclass(frozen=True)
class OldKernels:
    """A store that returns kernels in the layout of Keras 2 on TensorFlow.

    Attributes:
        store: The arrays in the layout of the file.
        theano: Whether the file says that Theano wrote it.
    """

    store: Store
    theano: bool

    def arrays(self, network: Network, slots_of: SlotsOf) -> Iterator[tuple[Layer, Stored]]:
        """The arrays of the inner store, kernels rearranged."""
        keras1 = (0,) < network.keras < (2,)
        for layer, stored in self.store.arrays(network, slots_of):
            if keras1 or self.theano:
                arrays = {n: self._kernel(layer, n, a, keras1) for n, a in stored.arrays.items()}
                stored = replace(stored, arrays=arrays)
            yield layer, stored

    def _kernel(self, layer: Layer, name: str, array: Array, keras1: bool) -> Array:
        rank, kind = len(array.shape), layer.class_name
        order = tuple(range(rank))
        if keras1 and name.endswith("kernel"):
            first = layer.config.get("data_format") == "channels_first"
            order = _KERAS1_ORDER.get((kind, first), order)
            if kind == "Conv1D" and rank == 4 and array.shape[1] != 1:  # before Keras 1.1
                order = (2, 3, 1, 0)
        turned = self.theano and name == "kernel" and kind in _TURNED
        squeezed = keras1 and kind == "Conv1D" and rank == 4
        return array if len(order) != rank else Rearranged(array, order, turned, squeezed)


@dataclass(frozen=True)
class Rearranged:
    """An array with its axes in another order.

    Attributes:
        array: The stored array.
        order: The stored axis that becomes each axis.
        turned: Whether all axes but the last two are reversed.
        squeezed: Whether the second axis, of size 1, is dropped.
    """

    array: Array
    order: tuple[int, ...]
    turned: bool
    squeezed: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape after the rearrangement."""
        shape = tuple(self.array.shape[axis] for axis in self.order)
        return (shape[0], *shape[2:]) if self.squeezed and shape[1] == 1 else shape

    def load(self) -> np.ndarray:
        """Read the values, as float32."""
        values = self.array.load().transpose(self.order).reshape(self.shape)
        if self.turned:
            values = np.flip(values, axis=tuple(range(values.ndim - 2)))
        return np.ascontiguousarray(values)
