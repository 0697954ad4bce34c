"""The weights of a spec, found in a store and checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converters.layers.call import Slot
from converters.lower import Lowered
from converters.network import Layer, Network
from converters.weights import Array, Store, Stored
from jaxviz.errors import ConversionError
from jaxviz.spec import Shape


def bind(lowered: Lowered, network: Network, store: Store) -> dict[str, dict[str, np.ndarray]]:
    """Load the arrays that the spec's nodes need, and no others.

    Args:
        lowered: The architecture, with the arrays that its layers declare.
        network: The network that was lowered.
        store: The arrays.

    Returns:
        Float32 arrays by layer and name.

    Raises:
        ConversionError: If arrays are missing or have the wrong shape; the error names
            every one of them.
    """
    expected: dict[tuple[str, str], Shape] = {}
    for node, role, shape in lowered.spec.weight_shapes():
        expected[node.layer, node.weights[role]] = shape
    stored: dict[str, Stored] = {}

    def slots_of(layer: Layer) -> Sequence[Slot] | None:
        key = lowered.keys.get(layer)
        return None if key is None else lowered.slots.get(key)

    for layer, found in store.arrays(network, slots_of):
        stored[lowered.keys[layer]] = found
    problems: list[str] = []
    weights: dict[str, dict[str, np.ndarray]] = {}
    for key in dict.fromkeys(layer for layer, _ in expected):
        slots, found = lowered.slots[key], stored.get(key, Stored({}))
        needed = [slot for slot in slots if (key, slot.name) in expected]
        if any(slot.name not in found.arrays for slot in needed):
            names = ", ".join(slot.name for slot in slots)
            shapes = ", ".join(map(str, found.shapes)) or "nothing"
            problems.append(f"{key}  expected {len(slots)} arrays ({names}), found {shapes}")
            continue
        for slot in needed:
            array, shape = found.arrays[slot.name], expected[key, slot.name]
            if slot.transform is None and not _fits(array.shape, shape):
                problems.append(_mismatch(key, slot, tuple(array.shape), shape))
                continue
            values = _loaded(array, slot)
            if _fits(values.shape, shape):
                weights.setdefault(key, {})[slot.name] = values
            else:
                problems.append(_mismatch(key, slot, values.shape, shape))
    if problems:
        title = lowered.spec.source.file or network.name
        raise ConversionError(
            f"the weights of {title!r} do not match its architecture", details=problems
        )
    return weights


def _loaded(array: Array, slot: Slot) -> np.ndarray:
    """The values of an array, in the layout of the spec."""
    values = array.load()
    if slot.transform is not None:
        try:
            values = np.ascontiguousarray(slot.transform(values), np.float32)
        except ValueError:
            pass  # the caller reports the wrong shape
    return values


def _fits(found: Sequence[int], expected: Shape) -> bool:
    return len(found) == len(expected) and all(
        e is None or e == f for e, f in zip(expected, found, strict=True)
    )


def _mismatch(key: str, slot: Slot, found: Sequence[int], expected: Shape) -> str:
    return f"{key}  {slot.name} has shape {tuple(found)}, expected {tuple(expected)}"
