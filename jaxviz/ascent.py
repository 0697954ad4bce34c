"""Gradient ascent for ONE unit: start, step, look. Pure; `jaxviz.batch` makes many of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxviz.display import Display
from jaxviz.parameterizations import Pixel
from jaxviz.ranges import Units


class State(NamedTuple):
    """What one unit carries from step to step.

    Attributes:
        latent: What is optimised.
        optimizer: Optax' state.
        responded: Whether any gradient so far was other than zero.
    """

    latent: Any
    optimizer: Any
    responded: jax.Array


class View(NamedTuple):
    """One unit's image and what it is worth.

    Attributes:
        raw: [height, width, channels] in the network's input units.
        shown: [height, width, channels] in [0, 1], cropped, for people.
        score: The objective on `raw`, a scalar.
    """

    raw: jax.Array
    shown: jax.Array
    score: jax.Array


@dataclass(frozen=True)
class Ascent:
    """The whole recipe of one unit's picture.

    Attributes:
        score: (image [height, width, channels] in the network's units, channel) -> scalar.
        parameterization: What is optimised.
        optimizer: How it is updated.
        units: The network's input range against the recipe's.
        display: How the result is shown.
        shape: (height, width, channels) of the image.
    """

    score: Callable[[jax.Array, jax.Array], jax.Array]
    parameterization: Pixel
    optimizer: optax.GradientTransformationExtraArgs
    units: Units
    display: Display
    shape: tuple[int, int, int]

    def start(self, key: jax.Array) -> State:
        """The first state, from the unit's key."""
        return self._state(self.parameterization.init(key, self.shape))

    def start_from(self, raw: jax.Array) -> State:
        """The first state, from an image in the network's units."""
        return self._state(self.parameterization.from_image(self.units.from_network(raw)))

    def step(self, state: State, channel: jax.Array) -> State:
        """One update of the latent, uphill."""

        def loss(latent: Any) -> jax.Array:
            return -self.score(self._raw(latent), channel)

        gradient = jax.grad(loss)(state.latent)
        updates, optimizer = self.optimizer.update(gradient, state.optimizer, state.latent)
        leaves = jax.tree.leaves(gradient)
        moved = jnp.any(jnp.stack([jnp.any(leaf != 0) for leaf in leaves]))
        latent = optax.apply_updates(state.latent, updates)
        return State(latent, optimizer, state.responded | moved)

    def look(self, state: State, channel: jax.Array) -> View:
        """The current image, as it is, as it is shown, and its score."""
        raw = self._raw(state.latent)
        return View(raw, self.display.show(raw, self.units), self.score(raw, channel))

    def _raw(self, latent: Any) -> jax.Array:
        return self.units.to_network(self.parameterization.to_image(latent))

    def _state(self, latent: Any) -> State:
        return State(latent, self.optimizer.init(latent), jnp.zeros((), bool))
