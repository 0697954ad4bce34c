"""One call of one Keras layer: what a converter reads, declares and emits.

A converter reads the layer's options, declares the layer's arrays in Keras' order, and emits
operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from converters.layers.options import Options
from converters.layers.value import LARGEST_AXIS, Value, channels_first, in_order
from converters.network import Layer
from jaxviz.spec import Node, Op, Permute

#: A change from Keras' array to the array of the spec.
Transform = Callable[[np.ndarray], np.ndarray]


def after(first: Transform | None, second: Transform) -> Transform:
    """The first change followed by the second."""
    return second if first is None else lambda array: second(first(array))


@dataclass(frozen=True)
class Slot:
    """One array of a layer, in Keras' order.

    Attributes:
        name: Name of the array in the bundle.
        trainable: Whether the array is trained; Keras stores trained arrays first.
        part: Name of the sublayer that holds the array in a `.keras` file; empty for the layer.
        number: Number of the array in that part, if Keras' order does not give it.
        transform: A change from Keras' array to the array of the spec.
    """

    name: str
    trainable: bool = True
    part: str = ""
    number: int | None = None
    transform: Transform | None = None


@dataclass(kw_only=True)
class LayerCall(Options):
    """One call of one layer, being converted; see `Options` for the other attributes.

    Attributes:
        base: Name of the node that becomes the layer's output.
        key: Name of the layer among the weights.
        taken: Every node name in use.
        nodes: The emitted nodes.
        values: The results of the emitted nodes, by name.
        slots: The declared arrays, by name.
        part: Name of the sublayer that is being converted.
    """

    base: str
    key: str
    taken: set[str]
    nodes: list[Node] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    part: str = ""

    def weight(
        self,
        name: str,
        *,
        trainable: bool = True,
        part: str = "",
        number: int | None = None,
        transform: Transform | None = None,
    ) -> str:
        """Declare the layer's next array; see `Slot` for the arguments.

        Returns:
            The name, for `emit`.
        """
        self.slots.setdefault(name, Slot(name, trainable, part or self.part, number, transform))
        return name

    def emit(
        self,
        op: Op,
        *inputs: Value,
        stage: str = "",
        weights: Mapping[str, str] | None = None,
        axes: Sequence[int] | None = None,
    ) -> Value:
        """Add an operation to the graph.

        Args:
            op: The operation.
            inputs: The tensors that it reads.
            stage: Name of an intermediate result; empty for the layer's output.
            weights: The name of the layer's array for each role of the operation.
            axes: Places of Keras' axes in the result. The default is the order of the first
                input if the rank stays, otherwise Keras' order.

        Returns:
            The result.
        """
        known = None
        if all(value.known is not None for value in inputs):
            shapes = [value.shape for value in inputs]
            known = op.output_shape(*shapes)
            op.weight_shapes(*shapes)  # raises if no weights can have these shapes
            if any(n is not None and n > LARGEST_AXIS for n in known):
                self.refuse(
                    f"makes an axis of {max(n or 0 for n in known)} positions, "
                    f"expected at most {LARGEST_AXIS}"
                )
        name = f"{self.base}/{stage}" if stage else self.base
        while name in self.taken:
            stage += "~"
            name = f"{self.base}/{stage}" if stage.strip("~") else f"{self.base}{stage}"
        self.taken.add(name)
        self.nodes.append(
            Node(
                name=name, op=op, inputs=tuple(value.name for value in inputs),
                layer=self.key, stage=stage, weights=dict(weights or {}),
            )
        )  # fmt: skip
        if axes is None:
            rank = len(inputs[0].axes) if known is None else len(known)
            axes = inputs[0].axes if len(inputs[0].axes) == rank else in_order(rank)
        self.values[name] = Value(name, known, tuple(axes))
        return self.values[name]

    def arranged(self, value: Value, axes: Sequence[int]) -> Value:
        """The tensor with Keras' axes in these places, transposed if necessary."""
        axes = tuple(axes)
        if value.axes == axes or value.known is None:
            return value
        order = tuple(value.axes[axes.index(j)] for j in range(len(axes)))
        return self.emit(Permute(order=order), value, stage="transposed", axes=axes)

    def as_in_keras(self, value: Value) -> Value:
        """The tensor in Keras' own layout, transposed if necessary."""
        return self.arranged(value, in_order(len(value.axes)))

    def image(self, rank: int) -> Value:
        """The input of a layer with `data_format`, rearranged to channels last.

        Args:
            rank: Number of spatial axes.
        """
        value = self.input
        self.expect_rank(value, rank + 1)
        return self.arranged(value, self.image_axes(rank))

    def image_axes(self, rank: int) -> tuple[int, ...]:
        """The places of Keras' axes that follow from the layer's `data_format`."""
        data_format = self.option("data_format", "channels_last")
        if data_format not in ("channels_last", "channels_first", None):
            self.refuse(f"has the unknown data_format={data_format!r}")
        first = data_format == "channels_first"
        return channels_first(rank + 1) if first else in_order(rank + 1)

    def expect_rank(self, value: Value, rank: int) -> None:
        """Refuse the layer unless its input has `rank` axes besides the batch."""
        if value.known is not None and len(value.shape) != rank:
            self.refuse(f"needs {rank} axes besides the batch, found shape {value.keras_shape}")

    def inner(self, layer: Layer, part: str) -> LayerCall:
        """The call of a wrapped layer, which shares this layer's arrays and nodes."""
        inner = replace(self, layer=layer, read=set())
        inner.part = part
        return inner
