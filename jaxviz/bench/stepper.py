"""Units of one layer that are stepped on request, by the programs that an atlas runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxviz.bundle import Bundle
from jaxviz.engine.ascent import State
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.model import Model
from jaxviz.presets import Preset
from jaxviz.runtime.execution import Dtype
from jaxviz.runtime.keys import unit_keys
from jaxviz.runtime.xla_options import Effort

# More than anyone waits for: a unit that has stopped would count as a fast one.
_ENDLESS = 1_000_000

#: The states of all lanes.
States = tuple[State, ...]
Channels = Sequence[int] | np.ndarray


class Stepper:
    """The steps of one layer's units, without an end.

    Args:
        model: A converted model.
        layer: Name of a node.
        preset: How a picture is made; its steps, stop and replicates do not count.
        size: Side of the image or (height, width); the preset's where left out.
        chunk: Units in one compiled call; chosen for the device where left out.
        dtype: What the network is computed in.
        effort: What the compile of the step is worth; a run of a small layer takes less.

    Attributes:
        renderer: What it runs.
        chunk: Units in one compiled call; every device gets an equal share.
        lanes: Such calls at the same time.
        units: How many are stepped at the same time: a chunk for each lane.
        tuning_seconds: What the choice of the chunk took.

    Example:
        >>> import jaxviz
        >>> model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
        >>> stepper = Stepper(model, "conv1", jaxviz.PRESETS["keras-io"], size=16, chunk=1)
        >>> channels = list(range(stepper.units))
        >>> states = stepper.advance(stepper.start(channels), channels, 3)
        >>> [int(state.step[0]) for state in states] == [3] * stepper.lanes
        True
    """

    def __init__(
        self,
        model: Model | Bundle,
        layer: str,
        preset: Preset,
        *,
        size: int | tuple[int, int] | None = None,
        chunk: int | None = None,
        dtype: Dtype = "float32",
        effort: Effort = "all",
    ) -> None:
        began = time.perf_counter()
        tunes = chunk is None
        if tunes:  # as for a run of the whole layer
            chunk = tuned_chunk(model, layer, preset, size, dtype)
        self.tuning_seconds = time.perf_counter() - began if tunes else 0.0
        endless = preset.model_copy(update={"steps": _ENDLESS, "stop": None, "replicates": 1})
        by_rule = LayerRenderer.for_layer(
            model, layer, endless, size=size, chunk=chunk, dtype=dtype
        )
        self.renderer = by_rule.with_execution(by_rule.execution.changed(effort=effort))
        self.chunk = self.renderer.target.shared(self.renderer.execution.chunk)
        self.lanes = self.renderer.execution.lanes
        self.units = self.chunk * self.lanes
        self._program, self._weights = self.renderer.programs.main, self.renderer.programs.weights
        self._threads = ThreadPoolExecutor(self.lanes)

    def start(
        self,
        channels: Channels,
        images: Float[np.ndarray, "unit height width channels"] | None = None,
    ) -> States:
        """The first states.

        Args:
            channels: [unit] channel numbers.
            images: Starting images in the network's units; the preset's where left out.
        """
        given = [None] * self.lanes if images is None else np.split(np.asarray(images), self.lanes)
        rescue = self._program.preset_rescue((self.chunk,))

        def begin(lane: np.ndarray, image: np.ndarray | None) -> State:
            keys = unit_keys(0, self.renderer.setup.layer, lane)
            if image is None:
                return self._program.start(self._weights, keys, rescue)
            return self._program.start_from(self._weights, jnp.asarray(image), keys, rescue)

        return tuple(self._each(begin, self._split(channels), given))

    def advance(self, states: States, channels: Channels, count: int) -> States:
        """So many steps, all done when this returns; the states are given up."""

        def run(state: State, lane: np.ndarray) -> State:
            state = self._program.advance(self._weights, state, jnp.asarray(lane), count)
            return jax.block_until_ready(state)

        return tuple(self._each(run, states, self._split(channels)))

    def timed(self, states: States, channels: Channels, count: int) -> tuple[States, float]:
        """The same, and the seconds that it took."""
        began = time.perf_counter()
        states = self.advance(states, channels, count)
        return states, time.perf_counter() - began

    def images(
        self, states: States, channels: Channels
    ) -> Float[np.ndarray, "unit height width channels"]:
        """The pictures in the network's units."""
        found = self._each(
            lambda state, lane: self._program.evaluate(self._weights, state, jnp.asarray(lane)),
            states,
            self._split(channels),
        )
        return np.concatenate([np.asarray(evaluation.raw) for evaluation in found])

    def live_channels(self, wanted: int, limit: int) -> tuple[list[int], int]:
        """Channels whose first step has a gradient, spread over the layer.

        Args:
            wanted: How many at most.
            limit: How many are tried at most.

        Returns:
            The channels found, and how many were tried.
        """
        filters = self.renderer.setup.units
        order = np.linspace(0, filters, min(filters, limit), endpoint=False).astype(int)
        found: list[int] = []
        tried = 0
        for first in range(0, len(order), self.units):
            some = order[first : first + self.units]
            padded = np.resize(some, self.units)
            alive = responded(self.advance(self.start(padded), padded, 1))[: len(some)]
            found += [int(channel) for channel in some[alive]]
            tried += len(some)
            if len(found) >= wanted:
                break
        return found[:wanted], tried

    def compiled(self, states: States, channels: Channels) -> Any:
        """One lane's step as a compiled program, for what the compiler says of it."""
        lane = jnp.asarray(self._split(channels)[0])
        return self._program.step.lower(self._weights, states[0], lane).compile()

    def _split(self, channels: Channels) -> list[np.ndarray]:
        return np.split(np.asarray(channels, np.int32), self.lanes)

    def _each(self, function: Callable[..., Any], *lanes: Sequence[Any]) -> list[Any]:
        if self.lanes == 1:
            return [function(*(some[0] for some in lanes))]
        return list(self._threads.map(function, *lanes))


def tuned_chunk(
    model: Model | Bundle,
    layer: str,
    preset: Preset,
    size: int | tuple[int, int] | None,
    dtype: Dtype,
) -> int:
    """The chunk that a run of the whole layer would take, which may measure for it."""
    renderer = LayerRenderer.for_layer(
        model, layer, preset.model_copy(update={"replicates": 1}), size=size, dtype=dtype
    )
    return renderer.settled(renderer.setup.units).execution.chunk


def responded(states: States) -> Bool[np.ndarray, " unit"]:
    """Which units have had a gradient."""
    return np.concatenate([np.asarray(state.responded) for state in states])
