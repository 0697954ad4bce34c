"""What a layer converter works with: one call of one Keras layer.

A converter reads the layer's options (every one that it does not read must have a value
that changes nothing, or the layer is refused), declares the layer's arrays in Keras'
order, and emits the operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from converters.network import Layer
from jaxviz.errors import JaxvizError
from jaxviz.spec import Node, Op, Permute, Shape

#: Nothing in these changes what a layer computes at inference.
_HARMLESS = frozenset(
    [
        "name", "trainable", "dtype", "batch_input_shape", "batch_shape", "batch_size",
        "input_shape", "input_dtype", "input_dim", "input_length", "dynamic", "autocast", "seed",
        "sparse", "ragged", "optional", "synchronized", "momentum", "lora_rank", "lora_alpha",
        "_keras_api_names",
    ]
)  # fmt: skip
_HARMLESS_ENDINGS = ("_initializer", "_regularizer", "_constraint")
_REQUIRED = object()
#: No real layer is larger, and what it takes to lower one is bounded by it.
_LARGEST_AXIS = 1 << 24


#: From Keras' array to the one that the spec wants.
Transform = Callable[[np.ndarray], np.ndarray]


def after(first: Transform | None, second: Transform) -> Transform:
    """Both, one after the other."""
    return second if first is None else lambda array: second(first(array))


class Unsupported(JaxvizError):
    """A layer, or an option of it, that has no exact equivalent; collected by `lower`."""


class UnknownInput(Exception):
    """A converter needs the shape of an input that could not be converted."""


@dataclass(frozen=True)
class Value:
    """A tensor of the graph under construction.

    Attributes:
        name: Name of the node or input that gives it.
        known: Its shape without batch, as the spec has it (channels last); None where the
            layer that gives it could not be converted.
        axes: Where Keras' axes went: Keras' axis i (0 is the first after batch) is axis
            `axes[i]` of the spec's tensor. Anything but 0, 1, 2, … comes from channels_first.
    """

    name: str
    known: Shape | None
    axes: tuple[int, ...]

    @property
    def shape(self) -> Shape:
        """The shape as the spec has it."""
        if self.known is None:
            raise UnknownInput
        return self.known

    @property
    def keras_shape(self) -> Shape:
        """The shape in Keras' order of axes."""
        return tuple(self.shape[axis] for axis in self.axes)

    def axis(self, keras_axis: int) -> int:
        """Negative axis of the spec's tensor for an axis as Keras counts it (0 is the batch)."""
        rank = len(self.shape)
        index = keras_axis - 1 if keras_axis >= 0 else keras_axis + rank
        if not 0 <= index < rank:
            raise Unsupported(f"axis {keras_axis} does not exist in shape {self.keras_shape}")
        return self.axes[index] - rank


def in_order(rank: int) -> tuple[int, ...]:
    """The axes of a tensor that is laid out as in Keras."""
    return tuple(range(rank))


def channels_first(rank: int) -> tuple[int, ...]:
    """The axes of a tensor whose channels stand first in Keras and last here."""
    return (rank - 1, *range(rank - 1))


@dataclass(frozen=True)
class Slot:
    """One array of a layer, in Keras' order.

    Attributes:
        name: What the array is called in the bundle.
        trainable: Keras stores trainable arrays before others.
        part: Name of the sublayer that holds it, as in a `.keras` file; empty for the layer.
        number: Its number there, where that is not its place in this order.
        transform: From Keras' array to the one that the spec wants.
    """

    name: str
    trainable: bool = True
    part: str = ""
    number: int | None = None
    transform: Transform | None = None


@dataclass
class LayerCall:
    """One call of one layer, being converted.

    Attributes:
        layer: The layer as its file describes it.
        args: The call's positional arguments: constants, `Value`s, or lists of them.
        arguments: The call's arguments by keyword.
        base: Name of the node that will be the layer's output.
        key: Name of the layer among the weights.
        keras2: Written by Keras 1 or 2, where some defaults and functions differ.
        taken: Every node name in use.
        nodes: What has been emitted so far.
        values: The results of these, by name.
        slots: The layer's arrays.
    """

    layer: Layer
    args: tuple[Any, ...]
    arguments: Mapping[str, Any]
    base: str
    key: str
    keras2: bool
    taken: set[str]
    nodes: list[Node] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    #: Options and arguments that the converter has looked at; positional ones by number.
    read: set[str | int] = field(default_factory=set)
    #: Name of the sublayer that is being converted.
    part: str = ""

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The tensors among the positional arguments, in order."""
        return tuple(tensors(self.args))

    @property
    def input(self) -> Value:
        """The only input."""
        inputs = self.inputs
        if len(inputs) != 1:
            self.refuse(f"is called on {len(inputs)} tensors instead of one")
        return inputs[0]

    def option(self, name: str, default: Any = _REQUIRED) -> Any:
        """One entry of the layer's configuration."""
        self.read.add(name)
        value = self.layer.config.get(name, default)
        if value is _REQUIRED:
            self.refuse(f"has no {name!r} in its configuration")
        return value

    def argument(self, place: int, name: str, default: Any = _REQUIRED) -> Any:
        """An argument of the call, by place or by name, or else the option of that name."""
        if place < len(self.args):
            self.read.add(place)
            return self.args[place]
        if name in self.arguments:
            self.read.add(name)
            return self.arguments[name]
        return self.option(name, default)

    def ignore(self, *names: str) -> None:
        """Options that change nothing at inference."""
        self.read.update(names)

    def require(self, name: str, *allowed: Any, why: str = "is not supported") -> None:
        """Refuse the layer unless an option, where present, has one of these values."""
        value = self.option(name, allowed[0])
        if value not in allowed:
            self.refuse(f"{name}={value!r} {why}")

    def refuse(self, reason: str) -> Any:
        """Give up on this layer for a reason that the user will read."""
        raise Unsupported(reason)

    def leftovers(self) -> dict[str, Any]:
        """Options and arguments that nobody has read and that may mean something."""
        arguments = {
            f"call argument {key}": value
            for key, value in [*enumerate(self.args), *self.arguments.items()]
            if key not in self.read and _means_something(value, isinstance(key, int))
        }
        return arguments | {
            key: value
            for key, value in self.layer.config.items()
            if key not in self.read
            and key not in _HARMLESS
            and not key.endswith(_HARMLESS_ENDINGS)
            and value not in (None, False, [], {}, "")
        }

    def sizes(self, name: str, rank: int, default: Any = _REQUIRED) -> tuple[int, ...]:
        """An option that is one positive number, or one for each spatial axis."""
        value = self.option(name, default)
        sizes = (value,) * rank if isinstance(value, int) else value
        if (
            not isinstance(sizes, list | tuple)
            or len(sizes) != rank
            or not all(type(n) is int and 0 < n < 1 << 24 for n in sizes)
        ):
            self.refuse(f"{name}={value!r} is not {rank} positive numbers")
        return tuple(sizes)

    def weight(
        self,
        name: str,
        *,
        trainable: bool = True,
        part: str = "",
        number: int | None = None,
        transform: Transform | None = None,
    ) -> str:
        """Declare the layer's next array; returns its name for `emit`."""
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
            op: What to compute.
            inputs: On what.
            stage: Empty for the layer's output, else the name of this intermediate result.
            weights: The name of the layer's array for each role of the operation.
            axes: Order of Keras' axes in the result; that of the first input if left out
                and the rank stays, else as in Keras.
        """
        known = None
        if all(value.known is not None for value in inputs):
            shapes = [value.shape for value in inputs]
            known = op.output_shape(*shapes)
            op.weight_shapes(*shapes)  # that there can be such weights
            if any(n is not None and n > _LARGEST_AXIS for n in known):
                self.refuse(f"makes an axis of {max(n or 0 for n in known)} positions")
        name = f"{self.base}/{stage}" if stage else self.base
        while name in self.taken:
            stage += "~"
            name = f"{self.base}/{stage}" if stage.strip("~") else f"{self.base}{stage}"
        self.taken.add(name)
        self.nodes.append(
            Node(
                name=name, op=op, inputs=tuple(value.name for value in inputs),
                layer=self.key, stage=stage, weights=dict(weights or {}),
            )  # type: ignore[arg-type]
        )  # fmt: skip
        if axes is None:
            rank = len(inputs[0].axes) if known is None else len(known)
            axes = inputs[0].axes if len(inputs[0].axes) == rank else in_order(rank)
        self.values[name] = Value(name, known, tuple(axes))
        return self.values[name]

    def arranged(self, value: Value, axes: Sequence[int]) -> Value:
        """The same tensor with Keras' axes in these places."""
        axes = tuple(axes)
        if value.axes == axes or value.known is None:
            return value
        order = tuple(value.axes[axes.index(j)] for j in range(len(axes)))
        return self.emit(Permute(order=order), value, stage="transposed", axes=axes)

    def as_in_keras(self, value: Value) -> Value:
        """The same tensor with its axes as Keras has them."""
        return self.arranged(value, in_order(len(value.axes)))

    def image(self, rank: int) -> Value:
        """The input of a layer with `data_format`: spatial axes, then channels."""
        value = self.input
        self.expect_rank(value, rank + 1)
        return self.arranged(value, self.image_axes(rank))

    def image_axes(self, rank: int) -> tuple[int, ...]:
        """Where the layer's `data_format` puts Keras' axes."""
        data_format = self.option("data_format", "channels_last")
        if data_format not in ("channels_last", "channels_first", None):
            self.refuse(f"data_format={data_format!r} does not exist")
        first = data_format == "channels_first"
        return channels_first(rank + 1) if first else in_order(rank + 1)

    def expect_rank(self, value: Value, rank: int) -> None:
        """Refuse the layer unless its input has so many axes besides the batch."""
        if value.known is not None and len(value.shape) != rank:
            self.refuse(f"needs {rank} axes besides the batch, found shape {value.keras_shape}")

    def numbered(self) -> int:
        """The 1, 2 or 3 of Conv1D, MaxPooling2D, and so on."""
        return int(self.layer.class_name.removesuffix("Transpose").removesuffix("D")[-1])

    def inner(self, layer: Layer, part: str) -> LayerCall:
        """The call of a layer inside of this one; its arrays are this layer's."""
        inner = replace(self, layer=layer, read=set())
        inner.part = part
        return inner


def tensors(arguments: Any) -> Iterator[Value]:
    """The tensors in arguments of any nesting, in Keras' order."""
    if isinstance(arguments, Value):
        yield arguments
    elif isinstance(arguments, dict):
        for _, item in sorted(arguments.items()):
            yield from tensors(item)
    elif isinstance(arguments, list | tuple):
        for item in arguments:
            yield from tensors(item)


def _means_something(value: Any, positional: bool) -> bool:
    """Whether an argument that nobody has read may change the result."""
    if isinstance(value, Value):
        return not positional
    if isinstance(value, dict):
        return any(_means_something(item, positional) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_means_something(item, positional) for item in value)
    return value is not None and value is not False
