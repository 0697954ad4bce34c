"""The tensors of a graph under construction, and the errors that refuse a layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from jaxviz.errors import JaxvizError
from jaxviz.spec import Shape

#: Most positions on an axis. No real layer has more, and the limit bounds the work of lowering.
LARGEST_AXIS = 1 << 24

#: An argument of a call: JSON in which a `Value` stands for each tensor.
Argument: TypeAlias = (
    "Value | None | bool | int | float | str | Sequence[Argument] | Mapping[str, Argument]"
)


class Unsupported(JaxvizError):
    """A layer or an option has no exact equivalent; `lower` collects these errors."""


class UnknownInput(Exception):
    """A converter asked for the shape of a tensor whose layer could not be converted."""


@dataclass(frozen=True)
class Value:
    """A tensor of the graph under construction.

    Attributes:
        name: Name of the node or input that makes the tensor.
        known: Shape without batch, channels last; None if the layer could not be converted.
        axes: The places of Keras' axes. Keras' axis i (0 is the first after the batch) is axis
            `axes[i]` of the spec's tensor. Other values than 0, 1, 2, … come from
            channels_first.
    """

    name: str
    known: Shape | None
    axes: tuple[int, ...]

    @property
    def shape(self) -> Shape:
        """Shape without batch, channels last.

        Raises:
            UnknownInput: If the layer that makes the tensor could not be converted.
        """
        if self.known is None:
            raise UnknownInput
        return self.known

    @property
    def keras_shape(self) -> Shape:
        """Shape without batch, in Keras' order of axes."""
        return tuple(self.shape[axis] for axis in self.axes)

    def axis(self, keras_axis: int) -> int:
        """The spec's axis, as a negative number, for an axis of Keras (0 is the batch).

        Raises:
            Unsupported: If the tensor has no such axis.
        """
        rank = len(self.shape)
        index = keras_axis - 1 if keras_axis >= 0 else keras_axis + rank
        if not 0 <= index < rank:
            raise Unsupported(f"axis {keras_axis} does not exist in shape {self.keras_shape}")
        return self.axes[index] - rank


def in_order(rank: int) -> tuple[int, ...]:
    """The `axes` of a tensor in Keras' own layout."""
    return tuple(range(rank))


def channels_first(rank: int) -> tuple[int, ...]:
    """The `axes` of a tensor whose channels are first in Keras, and last in the spec."""
    return (rank - 1, *range(rank - 1))


def tensors(arguments: Argument) -> Iterator[Value]:
    """The tensors in nested arguments, in Keras' order."""
    if isinstance(arguments, Value):
        yield arguments
    elif isinstance(arguments, dict):
        for _, item in sorted(arguments.items()):
            yield from tensors(item)
    elif isinstance(arguments, list | tuple):
        for item in arguments:
            yield from tensors(item)
