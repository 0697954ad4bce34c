"""`LayerSetup`: one layer and how its pictures are made, checked against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol

import numpy as np

from jaxviz.engine.memory import estimated_memory
from jaxviz.engine.shapes import fixed_size, image_shape, input_shape, upstream_shapes
from jaxviz.errors import ImageSizeError, LayerError
from jaxviz.imaging.files import read_image
from jaxviz.imaging.ranges import ValueRange, known_range
from jaxviz.model.cost import step_cost
from jaxviz.model.dispatch import LayerWeights
from jaxviz.objectives import Network
from jaxviz.presets import Preset
from jaxviz.runtime.execution import Dtype, Execution
from jaxviz.spec import ModelSpec, Shape
from jaxviz.transforms import size_after


class HasWeights(Protocol):
    """A converted model: a `Bundle`, or the Flax `Model`."""

    @property
    def spec(self) -> ModelSpec:
        """The architecture."""

    def arrays(self) -> LayerWeights:
        """The weights by layer and name."""


@dataclass(frozen=True)
class LayerSetup:
    """One layer and how its pictures are made. Frozen; `layer_setup` makes and checks it.

    Attributes:
        spec: The architecture.
        layer: Name of a node.
        taps: Names of the layers whose activations the objective reads.
        asked: The preset as the user gave it.
        preset: The preset with every amount resolved for the picture's size and the layer.
        shape: (height, width, channels) of the optimised image.
        network_shape: (height, width, channels) of the image after the transforms, which is
            the network's input.
        value_range: The network's input range against the preset's.
        units: Number of units: the layer's channels, unless the objective has its own units.
        one_per_channel: Whether each unit is a channel of the layer.
        attempts: Number of starts of each unit; the best picture is kept.
        measure: Whether pictures are measured against reference images.

    Example:
        >>> import jaxviz
        >>> spec = jaxviz.load_bundle(jaxviz.example("galaxy_cnn.keras")).spec
        >>> setup = layer_setup(spec, "conv1", jaxviz.PRESETS["keras-io"], size=32)
        >>> setup.shape, setup.taps, setup.one_per_channel
        ((32, 32, 3), ('conv1',), True)
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
        """(height, width, channels) of the picture as shown, after the crop."""
        return (*self.preset.display.size(*self.shape[:2]), self.shape[2])

    def network(self, execution: Execution) -> Network:
        """The architecture with the implementations and dtype of an execution."""
        return Network(self.spec, execution.implementations, self.shape, execution.dtype)

    @cached_property
    def node_shapes(self) -> dict[str, Shape]:
        """Shape of each node that the taps depend on, for an image of `network_shape`."""
        return upstream_shapes(self.spec, self.taps, self.network_shape)

    @cached_property
    def picture_shapes(self) -> dict[str, Shape]:
        """Shape of each node that the taps depend on, for an untransformed image."""
        return upstream_shapes(self.spec, self.taps, self.shape)

    @cached_property
    def step_flops(self) -> float:
        """Least number of floating-point operations in one step of one picture."""
        return max(map(self._flops, self.taps)) * self.preset.draws

    @cached_property
    def unit_gflop(self) -> float:
        """Billions of operations for one unit over all steps, replicates and attempts."""
        pictures = self.preset.draws * self.preset.replicates * self.attempts
        return self._flops(self.layer) * self.preset.steps * pictures / 1e9

    def _flops(self, tap: str) -> float:
        shape = input_shape(self.spec, self.taps, self.network_shape)
        return float(step_cost(self.spec, tap, shape).flops)

    def estimated_memory(self, units: int, dtype: Dtype) -> float:
        """Estimate the bytes that a device needs for some units at once.

        Args:
            units: Number of units.
            dtype: Type of the network's arithmetic.
        """
        pictures = units * self.preset.draws * self.preset.replicates
        return estimated_memory(self.spec, self.taps, self.network_shape, dtype, pictures)

    def check_channels(self, channels: Sequence[int] | None) -> tuple[int, ...]:
        """Check channel numbers.

        Args:
            channels: Numbers of channels, or of the objective's own units; None for all.

        Returns:
            The numbers, or all numbers of the layer.

        Raises:
            LayerError: If the layer lacks one of them.
        """
        if channels is None:
            return tuple(range(self.units))
        if bad := [c for c in channels if not 0 <= c < self.units]:
            what = "channel" if self.one_per_channel else "unit"
            raise LayerError(
                f"layer {self.layer!r} has no {what} {', '.join(map(str, bad[:5]))}",
                hint=f"It has {self.units} {what}s, numbered 0 to {self.units - 1}.",
            )
        return tuple(int(c) for c in channels)

    def check_init(self, init: np.ndarray, units: int) -> np.ndarray:
        """Check starting images.

        Args:
            init: [unit or 1, height, width, channels] in the network's input units.
            units: Number of units.

        Returns:
            [unit, height, width, channels].

        Raises:
            ImageSizeError: If the shape does not fit.
        """
        if init.ndim != 4 or init.shape[0] not in (1, units) or init.shape[1:] != self.shape:
            raise ImageSizeError(
                f"the starting images have shape {init.shape}, expected {(units, *self.shape)} "
                f"or {(1, *self.shape)}"
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
    """Resolve a preset for one layer of a network, and check everything against everything.

    Args:
        spec: The architecture.
        layer: Name of a node.
        preset: How a picture is made.
        size: Side of the image or (height, width) in pixels. None for the preset's size, or the
            model's own if the layer allows no other.
        attempts: Number of starts of each unit.
        measure: Whether pictures are measured against reference images.

    Raises:
        LayerError: If a layer does not exist.
        ImageSizeError: If the image is too small, or a dense layer allows only another size.
        ConfigError: If the preset does not suit the network.

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
    resolved = asked.at(_side(shape), _receptive_field(spec, layer), signal=shape[0] == 1)
    fed = (*size_after(resolved.transforms, *shape[:2]), shape[2])
    shapes = _check_network_shape(spec, layer, resolved, taps, shape, fed)
    resolved.parameterization.check(shape)
    objective.check(layer, shapes)
    value_range = ValueRange(*resolved.units, known_range(spec))
    value_range.check_channels(shape[-1])
    return LayerSetup(
        spec=spec,
        layer=layer,
        taps=taps,
        asked=asked,
        preset=resolved,
        shape=shape,
        network_shape=fed,
        value_range=value_range,
        units=objective.units(shapes[layer][-1] or 0),
        one_per_channel=objective.per_channel,
        attempts=attempts,
        measure=measure,
    )


def _side(shape: tuple[int, ...]) -> int:
    """The shorter side of an image, or the length of a signal."""
    return max(shape[:2]) if shape[0] == 1 else min(shape[:2])


def _receptive_field(spec: ModelSpec, layer: str) -> int | None:
    """The larger side of a layer's receptive field in pixels; None for the whole image."""
    fields = spec.receptive_field(layer)
    sides = [n for n in fields if n is not None]
    return max(sides) if len(sides) == len(fields) else None


def _check_network_shape(
    spec: ModelSpec,
    layer: str,
    preset: Preset,
    taps: Sequence[str],
    shape: tuple[int, int, int],
    fed: tuple[int, int, int],
) -> dict[str, Shape]:
    """Compute the shape of each node that the taps depend on, after the transforms."""
    if fed != shape and fixed_size(spec, taps, shape[:2]):
        raise ImageSizeError(
            f"layer {layer!r} depends on a dense layer, which fixes the image size: expected "
            f"{shape[0]}×{shape[1]}, but the transforms of preset {preset.name!r} leave "
            f"{fed[0]}×{fed[1]}",
            hint="Use a preset whose transforms keep the size, such as --preset robust.",
        )
    return upstream_shapes(spec, taps, fed)
