"""A single position of a channel, computed from the part of the image that it sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple

import jax
from pydantic import NonNegativeInt

from jaxviz.errors import ConfigError
from jaxviz.model.ops.windows import same_padding
from jaxviz.objectives.activations import Activations
from jaxviz.objectives.base import Objective
from jaxviz.spec import Conv, DepthwiseConv, ModelSpec, Node, Pad, Pool, Shape


class Neuron(Objective):
    """One position of one channel: what it wants where it looks.

    Only its receptive field is computed, where that is exact: the image is cut so that every
    layer's padding and strides fall as they did, and the neuron never sees the cut.

    Attributes:
        layer: Name of a layer; the unit's own where left out.
        channel: Its channel; the unit's own where left out.
        position: Row and column in the layer's map (one number where it has one axis); the
            middle where left out.

    References:
        Called `neuron` by lucid, `NeuronActivation` by captum.
    """

    places: ClassVar[tuple[str, ...]] = ("position",)
    kind: Literal["neuron"] = "neuron"
    layer: str | None = None
    channel: NonNegativeInt | None = None
    position: tuple[NonNegativeInt, ...] | None = None

    def value(self, seen: Activations) -> jax.Array:
        """The activation at the position."""
        layer, spec = self.layer or seen.unit_layer, seen.network.spec
        image = seen.image.shape[1:] if seen.network.line else seen.image.shape
        place = self._place(layer, spec.shapes(image, targets=[layer])[layer])
        field = receptive_field(spec, layer, image, place)
        if field is None:
            return seen.channel(layer, self.channel)[place]
        window = [slice(axis.start, axis.stop) for axis in field]
        part = seen.of(seen.image[(0, *window)][None] if len(window) == 1 else seen.image[*window])
        return part.channel(layer, self.channel)[tuple(axis.place for axis in field)]

    def layers(self) -> tuple[str | None, ...]:
        """The one layer."""
        return (self.layer,)

    def fixed_units(self) -> int | None:
        """None, or 1 where a channel is named."""
        return None if self.channel is None else 1

    def __str__(self) -> str:
        """Where it is."""
        place = "middle" if self.position is None else ", ".join(map(str, self.position))
        return f"neuron at {place}" + (f" of {self.layer}" if self.layer else "")

    def check(self, layer: str, shapes: Mapping[str, Shape]) -> None:
        """Raise ConfigError if the neuron's layer has no such position."""
        own = self.layer or layer
        self._place(own, shapes[own])

    def _place(self, layer: str, shape: Shape) -> tuple[int, ...]:
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
    """Part of an image's axis, and where the neuron then is on the layer's axis."""

    start: int
    stop: int
    place: int


class _Span(NamedTuple):
    low: int
    high: int
    stride: int


def receptive_field(
    spec: ModelSpec, layer: str, image: Sequence[int], place: tuple[int, ...]
) -> tuple[Window, ...] | None:
    """The part of an image that gives a neuron its exact value; None if it takes all of it.

    Args:
        spec: The architecture.
        layer: The neuron's layer.
        image: (height, width, channels), or (length, channels).
        place: The neuron's row and column, or its place along the length.
    """
    shapes = spec.shapes(tuple(image), targets=[layer])
    windows = []
    for axis, index in enumerate(place):
        span = _span(spec, layer, shapes, axis, index)
        if span is None:
            return None
        size, stride = image[axis], span.stride
        # whole strides from either end, so that every layer pads as it did
        start = max(span.low, 0) // stride * stride
        stop = size - max(size - span.high, 0) // stride * stride
        windows.append(Window(start, stop, index - start // stride))
    whole = all(w.start == 0 and w.stop == n for w, n in zip(windows, image, strict=False))
    return None if whole or not windows else tuple(windows)


def _span(
    spec: ModelSpec, layer: str, shapes: dict[str, Shape], axis: int, index: int
) -> _Span | None:
    """Positions of the input that one position of a layer reads, and the strides between."""
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
    op, (low, high, stride) = node.op, span
    if isinstance(op, Pad):
        return _Span(low - op.amounts[axis][0], high - op.amounts[axis][0], stride)
    if isinstance(op, (Conv, DepthwiseConv, Pool)):
        dilation = (1,) * len(op.window) if isinstance(op, Pool) else op.dilation
        pad = 0
        if op.padding == "same":
            sizes = tuple(n or 1 for n in shape[:-1])
            pad = same_padding(sizes, op.window, op.strides, dilation)[axis][0]
        elif op.padding != "valid":
            pad = op.padding[axis][0]
        reach, step = (op.window[axis] - 1) * dilation[axis] + 1, op.strides[axis]
        return _Span(low * step - pad, (high - 1) * step - pad + reach, stride * step)
    return span if op.channelwise and len(shape) == axes + 1 and op.op not in _MOVING else None


#: Channelwise operations that do not work position by position.
_MOVING = frozenset({"crop", "upsample", "resize", "global_pool", "permute", "slice"})
