"""One call of one Keras layer: everything that a converter reads, declares and emits.

A converter reads the layer's options, declares the layer's arrays in Keras' order, and emits
operations. An option that no converter reads must have a harmless value; otherwise the layer
is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, TypeAlias

import numpy as np

from converters.network import Layer
from jaxviz.errors import JaxvizError
from jaxviz.spec import Node, Op, Permute, Shape

#: Options that never change a layer's result at inference.
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
#: Most positions on an axis. No real layer has more, and the limit bounds the work of lowering.
LARGEST_AXIS = 1 << 24

#: A change from Keras' array to the array of the spec.
Transform = Callable[[np.ndarray], np.ndarray]
#: An argument of a call: JSON in which a `Value` stands for each tensor.
Argument: TypeAlias = (
    "Value | None | bool | int | float | str | Sequence[Argument] | Mapping[str, Argument]"
)


def after(first: Transform | None, second: Transform) -> Transform:
    """The first change followed by the second."""
    return second if first is None else lambda array: second(first(array))


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


@dataclass
class LayerCall:
    """One call of one layer, being converted.

    Attributes:
        layer: The layer as its file describes it.
        args: Positional arguments of the call.
        arguments: Keyword arguments of the call.
        base: Name of the node that becomes the layer's output.
        key: Name of the layer among the weights.
        keras2: Whether Keras 1 or 2 wrote the file; some defaults and functions differ.
        taken: Every node name in use.
        nodes: The emitted nodes.
        values: The results of the emitted nodes, by name.
        slots: The declared arrays, by name.
        read: Options and arguments that the converter has read; positional ones by number.
        part: Name of the sublayer that is being converted.
    """

    layer: Layer
    args: tuple[Argument, ...]
    arguments: Mapping[str, Argument]
    base: str
    key: str
    keras2: bool
    taken: set[str]
    nodes: list[Node] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    read: set[str | int] = field(default_factory=set)
    part: str = ""

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The tensors among the positional arguments, in order."""
        return tuple(tensors(self.args))

    @property
    def input(self) -> Value:
        """The only tensor among the positional arguments.

        Raises:
            Unsupported: If there is another number of tensors.
        """
        inputs = self.inputs
        if len(inputs) != 1:
            self.refuse(f"is called on {len(inputs)} tensors, expected one")
        return inputs[0]

    def option(self, name: str, default: object = _REQUIRED) -> Any:
        """Read one option of the layer's configuration.

        The type is `Any`, because most options go straight into an operation of the spec,
        which checks them.

        Args:
            name: Name of the option.
            default: The value if the option is absent; without a default, the layer is refused.
        """
        self.read.add(name)
        value = self.layer.config.get(name, default)
        if value is _REQUIRED:
            self.refuse(f"lacks the option {name!r}")
        return value

    def argument(self, place: int, name: str, default: object = _REQUIRED) -> Any:
        """Read an argument of the call, or else the option of the same name.

        Args:
            place: Number of the argument if it is positional.
            name: Name of the argument if it is a keyword.
            default: The value if it is absent; without a default, the layer is refused.
        """
        if place < len(self.args):
            self.read.add(place)
            return self.args[place]
        if name in self.arguments:
            self.read.add(name)
            return self.arguments[name]
        return self.option(name, default)

    def ignore(self, *names: str) -> None:
        """Mark options as read, because they change nothing at inference."""
        self.read.update(names)

    def require(self, name: str, *allowed: object, why: str = "is not supported") -> None:
        """Refuse the layer unless an option is absent or has an allowed value.

        Args:
            name: Name of the option.
            allowed: The allowed values.
            why: Continues the message after the option and its value.
        """
        value = self.option(name, allowed[0])
        if value not in allowed:
            self.refuse(f"{name}={value!r} {why}")

    def refuse(self, reason: str) -> NoReturn:
        """Refuse this layer.

        Args:
            reason: Continues a sentence that starts with the layer's name.

        Raises:
            Unsupported: Always.
        """
        raise Unsupported(reason)

    def leftovers(self) -> dict[str, Argument]:
        """Options and arguments that no converter has read and that may change the result."""
        arguments: dict[str, Argument] = {
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

    def sizes(self, name: str, rank: int, default: object = _REQUIRED) -> tuple[int, ...]:
        """Read an option that is one positive number, or one for each spatial axis.

        Args:
            name: Name of the option.
            rank: Number of spatial axes.
            default: The value if the option is absent.
        """
        value = self.option(name, default)
        sizes = (value,) * rank if isinstance(value, int) else value
        if (
            not isinstance(sizes, list | tuple)
            or len(sizes) != rank
            or not all(type(n) is int and 0 < n < LARGEST_AXIS for n in sizes)
        ):
            self.refuse(f"{name}={value!r} is not {_counted(rank, 'positive number')}")
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

    def numbered(self) -> int:
        """The number of spatial axes in a class name: 1 for Conv1D, 2 for MaxPooling2D."""
        return int(self.layer.class_name.removesuffix("Transpose").removesuffix("D")[-1])

    def inner(self, layer: Layer, part: str) -> LayerCall:
        """The call of a wrapped layer, which shares this layer's arrays and nodes."""
        inner = replace(self, layer=layer, read=set())
        inner.part = part
        return inner


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


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("s" if count > 1 else "")


def _means_something(value: Argument, positional: bool) -> bool:
    """Whether an argument that no converter has read may change the result."""
    if isinstance(value, Value):
        return not positional
    if isinstance(value, dict):
        return any(_means_something(item, positional) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_means_something(item, positional) for item in value)
    return value is not None and value is not False
