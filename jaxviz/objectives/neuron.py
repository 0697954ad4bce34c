"""A single position of a channel, computed from its receptive field alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple

import jax
from pydantic import NonNegativeInt

from jaxviz.errors import ConfigError
from jaxviz.objectives.activations import Activations
from jaxviz.objectives.base import Objective
from jaxviz.spec import ModelSpec, Node, Shape


class Neuron(Objective):
    """Activation at one position of one channel.

    Only the receptive field is computed, where this is exact: the image is cut so that padding
    and strides of every layer stay in place, and the neuron does not see the cut.

    Attributes:
        layer: Name of a layer; the unit's own where left out.
        channel: Number of a channel; the unit's own where left out.
        position: Row and column in the layer's map (one number where the map has one axis);
            the middle where left out.

    Example:
        >>> print(Neuron(layer="conv3", position=(4, 7)))
        neuron at 4, 7 of conv3

    References:
        Called `neuron` by lucid, `NeuronActivation` by captum.
    """

    places: ClassVar[tuple[str, ...]] = ("position",)
    holds_position: ClassVar[bool] = True
    kind: Literal["neuron"] = "neuron"
    layer: str | None = None
    channel: NonNegativeInt | None = None
    position: tuple[NonNegativeInt, ...] | None = None

    def value(self, activations: Activations) -> jax.Array:
        """The activation at the position, a scalar."""
        layer, network = self.layer or activations.unit_layer, activations.network
        image = network.input_shape(activations.image.shape)
        place = self._place(layer, network.spec.shapes(image, targets=[layer])[layer])
        field = receptive_field(network.spec, layer, image, place)
        if field is None:
            return activations.channel(layer, self.channel)[place]
        window = [slice(axis.start, axis.stop) for axis in field]
        whole = activations.image
        part = activations.of(whole[(0, *window)][None] if len(window) == 1 else whole[*window])
        return part.channel(layer, self.channel)[tuple(axis.place for axis in field)]

    def layers(self) -> tuple[str | None, ...]:
        """The one layer."""
        return (self.layer,)

    def fixed_units(self) -> int | None:
        """None, or 1 where a channel is named."""
        return None if self.channel is None else 1

    def check(self, layer: str, shapes: Mapping[str, Shape]) -> None:
        """Raise ConfigError if the position lies outside the layer's map."""
        own = self.layer or layer
        self._place(own, shapes[own])

    def __str__(self) -> str:
        """Position and layer."""
        place = "middle" if self.position is None else ", ".join(map(str, self.position))
        return f"neuron at {place}" + (f" of {self.layer}" if self.layer else "")

    def _place(self, layer: str, shape: Shape) -> tuple[int, ...]:
        """The position in a layer of this shape."""
        size = tuple(n or 1 for n in shape[:-1])
        if self.position is None:
            return tuple(n // 2 for n in size)
        fits = len(size) == len(self.position)
        if not fits or any(p >= n for p, n in zip(self.position, size, strict=True)):
            raise ConfigError(
                f"layer {layer!r} has no position {', '.join(map(str, self.position))}",
                hint=f"Its map is {'×'.join(map(str, size)) or 'a single number'}, and positions "
                "count from 0.",
            )
        return self.position


class Window(NamedTuple):
    """Part of an image's axis, and the neuron's place on the layer's axis for that part.

    Attributes:
        start: First pixel.
        stop: Pixel after the last.
        place: The neuron's index on the layer's axis, once the image is cut.
    """

    start: int
    stop: int
    place: int


class _Span(NamedTuple):
    """Positions low to high - 1 of an axis, and the stride from one output to the next."""

    low: int
    high: int
    stride: int


def receptive_field(
    spec: ModelSpec, layer: str, image: Sequence[int], place: tuple[int, ...]
) -> tuple[Window, ...] | None:
    """The part of an image that gives a neuron its exact value.

    Args:
        spec: The architecture.
        layer: The neuron's layer.
        image: (height, width, channels), or (length, channels).
        place: The neuron's row and column, or its place along the length.

    Returns:
        One window per axis; None if the neuron needs the whole image.

    Example:
        >>> import jaxviz
        >>> spec = jaxviz.load_bundle(jaxviz.example("galaxy_cnn.keras")).spec
        >>> receptive_field(spec, "conv1", (64, 64, 3), (9, 9))[0]
        Window(start=7, stop=12, place=2)
    """
    shapes = spec.shapes(tuple(image), targets=[layer])
    windows = []
    for axis, index in enumerate(place):
        span = _span(spec, layer, shapes, axis, index)
        if span is None:
            return None
        size, stride = image[axis], span.stride
        # Whole strides from either end, so that every layer pads as before.
        start = max(span.low, 0) // stride * stride
        stop = size - max(size - span.high, 0) // stride * stride
        windows.append(Window(start, stop, index - start // stride))
    whole = all(w.start == 0 and w.stop == n for w, n in zip(windows, image, strict=False))
    return None if whole or not windows else tuple(windows)


def _span(
    spec: ModelSpec, layer: str, shapes: dict[str, Shape], axis: int, index: int
) -> _Span | None:
    """Positions of the input that one position of a layer reads; None where it reads all."""
    known = {layer: _Span(index, index + 1, 1)}
    axes = len(shapes[layer]) - 1
    for node in reversed(spec.upstream([layer])):
        before = _before(node, shapes[node.inputs[0]], known[node.name], axis, axes)
        if before is None or any(
            shapes[i][:-1] != shapes[node.inputs[0]][:-1] for i in node.inputs
        ):
            return None
        for name in node.inputs:
            old = known.get(name, before)
            if old.stride != before.stride:
                return None
            known[name] = _Span(min(old.low, before.low), max(old.high, before.high), old.stride)
    return known[spec.inputs_of([layer])[0].name]


def _before(node: Node, shape: Shape, span: _Span, axis: int, axes: int) -> _Span | None:
    """Positions of a node's input that positions of its output read."""
    if len(shape) != axes + 1:
        return None
    reads = node.op.reads(tuple(n or 1 for n in shape[:-1]), axis)
    if reads is None:
        return None
    low = span.low * reads.step - reads.before
    high = (span.high - 1) * reads.step - reads.before + reads.reach
    return _Span(low, high, span.stride * reads.step)
