"""What is made of one layer: network, layer, preset and shapes, checked against one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol

import jax
import numpy as np

from jaxviz.engine.memory import estimated_memory
from jaxviz.engine.shapes import fixed_size, image_shape, input_shape, upstream_shapes
from jaxviz.errors import ImageSizeError, LayerError
from jaxviz.imaging.files import read_image
from jaxviz.imaging.ranges import ValueRange, known_range
from jaxviz.model.cost import step_cost
from jaxviz.objectives import Network
from jaxviz.presets import Preset
from jaxviz.runtime.execution import Dtype, Execution
from jaxviz.spec import ModelSpec, Shape
from jaxviz.transforms import size_after

Weights = Mapping[str, Mapping[str, jax.Array | np.ndarray]]


class HasWeights(Protocol):
    """A converted model: a `Bundle`, or the Flax `Model`."""

    @property
    def spec(self) -> ModelSpec:
        """The architecture."""

    def arrays(self) -> Weights:
        """The weights by layer and name."""


@dataclass(frozen=True)
class LayerSetup:
    """One layer's pictures, as they were asked for and as they follow from the network.

    Attributes:
        spec: The architecture.
        layer: Name of a node.
        taps: The layers whose activations the objective reads.
        asked: The preset as it was given.
        preset: The preset with every amount settled for the picture's size and the layer.
        shape: (height, width, channels) of the optimised image.
        network_shape: Shape of the image that the network gets, after the transforms.
        value_range: The network's input range against the preset's.
        units: How many units the layer has: one for each channel, unless the objective
            has rows of its own.
        one_per_channel: Whether each unit is a channel of the layer.
        attempts: Starts of each unit; the best picture is kept.
        measure: Whether pictures are measured against reference images.
    """

    spec: ModelSpec
    layer: str
    taps: tuple[str, ...]
    asked: Preset
    preset: Preset
    shape: tuple[int, int, int]
    network_shape: tuple[int, int, int]
    value_range: ValueRange
    units: int
    one_per_channel: bool
    attempts: int = 1
    measure: bool = False

    @property
    def shown_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the picture that people see."""
        return (*self.preset.display.size(*self.shape[:2]), self.shape[2])

    def network(self, execution: Execution) -> Network:
        """The architecture, computed as `execution` says."""
        return Network(self.spec, execution.implementations, self.shape, execution.dtype)

    @cached_property
    def node_shapes(self) -> dict[str, Shape]:
        """Shapes of all nodes that the taps depend on, for an image of `network_shape`."""
        return upstream_shapes(self.spec, self.taps, self.network_shape)

    @cached_property
    def picture_shapes(self) -> dict[str, Shape]:
        """Shapes of the same nodes for an image of `shape`, without transforms."""
        return upstream_shapes(self.spec, self.taps, self.shape)

    @cached_property
    def step_flops(self) -> float:
        """Floating-point operations that one step of one picture needs at least."""
        return max(map(self._flops, self.taps)) * self.preset.draws

    @cached_property
    def unit_gflop(self) -> float:
        """Billions of operations of one unit: all its steps, replicates and attempts."""
        pictures = self.preset.draws * self.preset.replicates * self.attempts
        return self._flops(self.layer) * self.preset.steps * pictures / 1e9

    def _flops(self, tap: str) -> float:
        shape = input_shape(self.spec, self.taps, self.network_shape)
        return float(step_cost(self.spec, tap, shape).flops)

    def estimated_memory(self, units: int, dtype: Dtype) -> float:
        """Bytes that a device needs for that many units, roughly."""
        pictures = units * self.preset.draws * self.preset.replicates
        return estimated_memory(self.spec, self.taps, self.network_shape, dtype, pictures)

    def check_channels(self, channels: Sequence[int] | None) -> tuple[int, ...]:
        """The channels asked for, or all of them.

        Raises:
            LayerError: If the layer does not have one of them.
        """
        if channels is None:
            return tuple(range(self.units))
        if bad := [c for c in channels if not 0 <= c < self.units]:
            what = "channel" if self.one_per_channel else "unit"
            raise LayerError(
                f"layer {self.layer!r} has no {what} {', '.join(map(str, bad[:5]))}",
                hint=f"It has {self.units} {what}s: 0 to {self.units - 1}.",
            )
        return tuple(int(c) for c in channels)

    def check_init(self, init: np.ndarray, units: int) -> np.ndarray:
        """Starting images, one for each unit.

        Raises:
            ImageSizeError: If their shape does not fit.
        """
        if init.ndim != 4 or init.shape[0] not in (1, units) or init.shape[1:] != self.shape:
            raise ImageSizeError(
                f"the starting images have shape {init.shape}, expected {(units, *self.shape)}"
            )
        return np.broadcast_to(init, (units, *self.shape))


def layer_setup(
    spec: ModelSpec,
    layer: str,
    preset: Preset,
    *,
    size: int | tuple[int, int] | None = None,
    attempts: int = 1,
    measure: bool = False,
) -> LayerSetup:
    """Settle a preset for one layer of a network, and check everything against everything.

    Args:
        spec: The architecture.
        layer: Name of a node.
        preset: How a picture is made.
        size: Side of the image or (height, width) in pixels; the preset's, or the model's own
            where the layer allows no other.
        attempts: Starts of each unit.
        measure: Whether pictures are measured against reference images.

    Raises:
        LayerError: If a layer does not exist.
        ImageSizeError: If the image is too small, or a dense layer allows another size only.
        ConfigError: If preset and network do not fit.

    Example:
        >>> import jaxviz
        >>> spec = jaxviz.load_bundle(jaxviz.example("galaxy_cnn.keras")).spec
        >>> setup = layer_setup(spec, "conv2", jaxviz.PRESETS["keras-io"], size=64)
        >>> setup.shape, setup.units
        ((64, 64, 3), 32)
    """
    taps = tuple(dict.fromkeys(name or layer for name in (None, *preset.objective.layers())))
    for name in taps:
        spec.node(name)
    shape = image_shape(spec, layer, preset, size)
    objective = preset.objective.with_images(partial(read_image, spec=spec, shape=shape))
    asked = preset.override(objective=objective)
    settled = asked.at(_side(shape), _receptive_field(spec, layer), signal=shape[0] == 1)
    seen = (*size_after(settled.transforms, *shape[:2]), shape[2])
    shapes = _check_network_shape(spec, layer, settled, taps, shape, seen)
    settled.parameterization.check(shape)
    objective.check(layer, shapes)
    value_range = ValueRange(*settled.units, known_range(spec))
    value_range.check_channels(shape[-1])
    return LayerSetup(
        spec=spec,
        layer=layer,
        taps=taps,
        asked=asked,
        preset=settled,
        shape=shape,
        network_shape=seen,
        value_range=value_range,
        units=objective.units(shapes[layer][-1] or 0),
        one_per_channel=objective.per_channel,
        attempts=attempts,
        measure=measure,
    )


def _side(shape: tuple[int, ...]) -> int:
    """The shorter side of an image; a signal has one."""
    return max(shape[:2]) if shape[0] == 1 else min(shape[:2])


def _receptive_field(spec: ModelSpec, layer: str) -> int | None:
    """The larger side of a layer's receptive field in pixels; None where it is everything."""
    sides = [n for n in spec.receptive_field(layer) if n is not None]
    return max(sides) if len(sides) == len(spec.receptive_field(layer)) else None


def _check_network_shape(
    spec: ModelSpec,
    layer: str,
    preset: Preset,
    taps: Sequence[str],
    shape: tuple[int, int, int],
    seen: tuple[int, int, int],
) -> dict[str, Shape]:
    """Shapes of all nodes upstream, for the image that the transforms leave."""
    if seen != shape and fixed_size(spec, taps, shape[:2]):
        raise ImageSizeError(
            f"layer {layer!r} lies behind a dense layer and takes images of "
            f"{shape[0]}×{shape[1]}, but the transforms of preset {preset.name!r} leave "
            f"{seen[0]}×{seen[1]}",
            hint="Take a preset whose transforms keep the size, such as the default.",
        )
    return upstream_shapes(spec, taps, seen)
