"""The options of a Keras layer and the arguments of its call, as a converter reads them.

An option that no converter reads must have a harmless value; otherwise the layer is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from converters.layers.value import LARGEST_AXIS, Argument, Unsupported, Value, tensors
from converters.network import Layer

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


@dataclass(kw_only=True)
class Options:
    """The options and arguments of one call of one layer.

    Attributes:
        layer: The layer as its file describes it.
        args: Positional arguments of the call.
        arguments: Keyword arguments of the call.
        keras2: Whether Keras 1 or 2 wrote the file; some defaults and functions differ.
        read: Options and arguments that the converter has read; positional ones by number.
    """

    layer: Layer
    args: tuple[Argument, ...]
    arguments: Mapping[str, Argument]
    keras2: bool
    read: set[str | int] = field(default_factory=set)

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

    def numbered(self) -> int:
        """The number of spatial axes in a class name: 1 for Conv1D, 2 for MaxPooling2D."""
        return int(self.layer.class_name.removesuffix("Transpose").removesuffix("D")[-1])


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
