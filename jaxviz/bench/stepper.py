"""Step units of one layer on request, with the programs that an atlas runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

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

# More steps than any measurement makes, because stopped units would count as fast ones.
_ENDLESS = 1_000_000

#: The states of all lanes.
States = tuple[State, ...]
#: [unit] channel numbers.
Channels = Sequence[int] | np.ndarray
_One = TypeVar("_One")
_Other = TypeVar("_Other")
_Result = TypeVar("_Result")


class Stepper:
    """Steps one layer's units without an end.

    Args:
        model: A converted model.
        layer: Name of a node.
        preset: How a picture is made; its steps, stop and replicates are ignored.
        size: Side of the image or (height, width), in pixels; None for the preset's.
        chunk: Number of units in one compiled call; None tunes it for the device.
        dtype: Type of the network's arithmetic.
        effort: Compile effort of the step. An atlas may use less for a small layer.

    Attributes:
        renderer: The layer's renderer.
        chunk: Number of units in one compiled call; every device gets an equal share.
        lanes: Number of such calls at the same time.
        units: Number of units stepped at the same time: `chunk * lanes`.
        tuning_seconds: Seconds that tuning the chunk took; 0 if the chunk was given.

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
        if tunes:  # as in an atlas of the whole layer
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
        """Make the initial states.

        Args:
            channels: [unit] channel numbers.
            images: Starting images in the network's input units; None for the preset's.
        """
        given: list[np.ndarray | None] = [None] * self.lanes
        if images is not None:
            given = [*np.split(np.asarray(images), self.lanes)]
        rescue = self._program.preset_rescue((self.chunk,))

        def begin(lane: np.ndarray, image: np.ndarray | None) -> State:
            keys = unit_keys(0, self.renderer.setup.layer, lane)
            state: State
            if image is None:
                state = self._program.start(self._weights, keys, rescue)
            else:
                state = self._program.start_from(self._weights, jnp.asarray(image), keys, rescue)
            return state

        return tuple(self._each(begin, self._split(channels), given))

    def advance(self, states: States, channels: Channels, count: int) -> States:
        """Make some steps, and wait for them.

        Args:
            states: The states; their buffers are donated, so they cannot be used again.
            channels: [unit] channel numbers.
            count: Number of steps.
        """

        def run(state: State, lane: np.ndarray) -> State:
            state = self._program.advance(self._weights, state, jnp.asarray(lane), count)
            ready: State = jax.block_until_ready(state)
            return ready

        return tuple(self._each(run, states, self._split(channels)))

    def timed(self, states: States, channels: Channels, count: int) -> tuple[States, float]:
        """Time `advance`.

        Returns:
            The states, and the seconds that all steps took.
        """
        began = time.perf_counter()
        states = self.advance(states, channels, count)
        return states, time.perf_counter() - began

    def images(
        self, states: States, channels: Channels
    ) -> Float[np.ndarray, "unit height width channels"]:
        """The pictures, in the network's input units."""

        def picture(state: State, lane: np.ndarray) -> np.ndarray:
            return np.asarray(self._program.evaluate(self._weights, state, jnp.asarray(lane)).raw)

        return np.concatenate(self._each(picture, states, self._split(channels)))

    def live_channels(self, wanted: int, limit: int) -> tuple[list[int], int]:
        """Find channels whose first step has a gradient, spread over the layer.

        Args:
            wanted: Largest number of channels to find.
            limit: Largest number of channels to check.

        Returns:
            The channels, and the number of checked ones.
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

    def compiled(self, states: States, channels: Channels) -> jax.stages.Compiled:
        """Compile one lane's step, to read the compiler's figures."""
        lane = jnp.asarray(self._split(channels)[0])
        lowered: jax.stages.Lowered = self._program.step.lower(self._weights, states[0], lane)
        return lowered.compile()

    def _split(self, channels: Channels) -> list[np.ndarray]:
        return np.split(np.asarray(channels, np.int32), self.lanes)

    def _each(
        self,
        function: Callable[[_One, _Other], _Result],
        ones: Sequence[_One],
        others: Sequence[_Other],
    ) -> list[_Result]:
        """Call a function once for each lane, in the lanes' threads."""
        if self.lanes == 1:
            return [function(ones[0], others[0])]
        return list(self._threads.map(function, ones, others))


def tuned_chunk(
    model: Model | Bundle,
    layer: str,
    preset: Preset,
    size: int | tuple[int, int] | None,
    dtype: Dtype,
) -> int:
    """The chunk that an atlas of the whole layer would use; may time steps.

    Args:
        model: A converted model.
        layer: Name of a node.
        preset: How a picture is made; its replicates are ignored.
        size: Side of the image or (height, width), in pixels; None for the preset's.
        dtype: Type of the network's arithmetic.
    """
    renderer = LayerRenderer.for_layer(
        model, layer, preset.model_copy(update={"replicates": 1}), size=size, dtype=dtype
    )
    return renderer.settled(renderer.setup.units).execution.chunk


def responded(states: States) -> Bool[np.ndarray, " unit"]:
    """Whether each unit has had a gradient."""
    return np.concatenate([np.asarray(state.responded) for state in states])
