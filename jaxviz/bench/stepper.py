"""Chunks of one layer's units that are stepped on request, by the programs an atlas runs."""

from __future__ import annotations

import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxviz.ascent import State
from jaxviz.batch import LayerRenderer, unit_keys
from jaxviz.bundle import Bundle
from jaxviz.model import Model
from jaxviz.presets import Preset

# More than anyone waits for: a unit that has stopped would count as a fast one.
_ENDLESS = 1_000_000


class Stepper:
    """The steps of one layer's units, without an end.

    Args:
        model: A converted model.
        layer: Name of a node.
        preset: How a picture is made; its steps and its stop do not count.
        size: Side of the image or (height, width); the preset's where left out.
        chunk: Units in one compiled call; chosen for the device where left out.

    Attributes:
        renderer: What it runs.
        chunk: Units in one compiled call.

    Example:
        >>> import jaxviz
        >>> model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
        >>> stepper = Stepper(model, "conv1", jaxviz.PRESETS["keras-io"], size=16, chunk=2)
        >>> state = stepper.start([0, 1])
        >>> stepper.advance(state, [0, 1], 3).step.tolist()
        [3, 3]
    """

    def __init__(
        self,
        model: Model | Bundle,
        layer: str,
        preset: Preset,
        *,
        size: int | tuple[int, int] | None = None,
        chunk: int | None = None,
    ) -> None:
        endless = preset.model_copy(update={"steps": _ENDLESS, "stop": None})
        self.renderer = LayerRenderer(model, layer, endless, size=size, chunk=chunk)
        self.chunk = self.renderer.chunk
        self._program = self.renderer._program()
        self._params = self.renderer._params

    def start(
        self,
        channels: Sequence[int] | np.ndarray,
        images: Float[np.ndarray, "unit height width channels"] | None = None,
    ) -> State:
        """The first state of a chunk.

        Args:
            channels: [chunk] channel numbers.
            images: Starting images in the network's units; the preset's where left out.
        """
        keys = unit_keys(0, self.renderer.layer, jnp.asarray(channels))
        help = self._program.help(keys.shape)
        if images is None:
            return self._program.start(self._params, keys, help)
        return self._program.start_from(self._params, jnp.asarray(images), keys, help)

    def advance(self, state: State, channels: Sequence[int] | np.ndarray, count: int) -> State:
        """So many steps, all done when this returns; the state is given up."""
        after = self._program.advance(self._params, state, jnp.asarray(channels, jnp.int32), count)
        return jax.block_until_ready(after)

    def images(
        self, state: State, channels: Sequence[int] | np.ndarray
    ) -> Float[np.ndarray, "unit height width channels"]:
        """The chunk's pictures in the network's units."""
        view = self._program.look(self._params, state, jnp.asarray(channels, jnp.int32))
        return np.asarray(view.raw)

    def live_channels(self, wanted: int, limit: int) -> tuple[list[int], int]:
        """Channels whose first step has a gradient, spread over the layer.

        Args:
            wanted: How many at most.
            limit: How many are tried at most, in whole chunks.

        Returns:
            The channels found, and how many were tried.
        """
        filters = self.renderer.units_in_layer
        order = np.linspace(0, filters, min(filters, limit), endpoint=False).astype(int)
        found: list[int] = []
        tried = 0
        for first in range(0, len(order), self.chunk):
            some = order[first : first + self.chunk]
            padded = np.resize(some, self.chunk)
            state = self.advance(self.start(padded), padded, 1)
            responded = np.asarray(state.responded)[: len(some)]
            found += [int(channel) for channel in some[responded]]
            tried += len(some)
            if len(found) >= wanted:
                break
        return found[:wanted], tried


def timed(stepper: Stepper, state: State, channels: np.ndarray, count: int) -> tuple[State, float]:
    """So many steps and the seconds that they took."""
    began = time.perf_counter()
    state = stepper.advance(state, channels, count)
    return state, time.perf_counter() - began
