"""Gradient ascent for one unit: start, step, evaluate.

All functions are pure and have no batch axis; `program` vmaps them over a chunk of units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxviz.imaging.display import Display
from jaxviz.imaging.ranges import ValueRange
from jaxviz.objectives.activations import Latent
from jaxviz.parameterizations import Parameterization
from jaxviz.presets.stop import Stop
from jaxviz.transforms import Transform, apply_all


class Rescue(NamedTuple):
    """How a unit without a gradient is rescued; numbers, so one program serves every rescue.

    Attributes:
        relu_leak_steps: Number of first steps in which gradients pass through closed
            activations.
        pre_activation_weight: Weight (0 to 1) of the maximum pre-activation over all positions;
            the objective's usual value gets the rest.
    """

    relu_leak_steps: jax.Array | np.ndarray
    pre_activation_weight: jax.Array | np.ndarray

    def at(self, step: jax.Array) -> ActiveRescue:
        """The rescue's numbers for one step.

        Args:
            step: Updates made before this step, an integer scalar.
        """
        leak = (step < self.relu_leak_steps).astype(jnp.float32)
        return ActiveRescue(leak, self.pre_activation_weight)


class ActiveRescue(NamedTuple):
    """The numbers of a `Rescue` in one step.

    Attributes:
        relu_leak: Factor (0 or 1) of the gradient through closed activations.
        pre_activation_weight: As in `Rescue`.
    """

    relu_leak: jax.Array
    pre_activation_weight: jax.Array | np.ndarray


#: (image in the network's units, picture in the preset's units, latent, channel, progress from
#: 0 to 1, rescue if any) -> scalar
Measure = Callable[
    [jax.Array, jax.Array, Latent, jax.Array, jax.Array, ActiveRescue | None], jax.Array
]


class Best(NamedTuple):
    """The best iterate so far.

    Attributes:
        value: The objective, a scalar; -inf before the first step.
        latent: The latent with that value.
    """

    value: jax.Array
    latent: Latent


class State(NamedTuple):
    """One unit's state between two steps.

    Attributes:
        latent: The optimised array, or a tree of arrays.
        optimizer: Optax' state.
        key: The unit's key; every random draw is folded from it.
        step: Number of updates so far.
        responded: Whether any gradient so far was nonzero.
        converged: Whether the unit stopped early.
        windows: [2] sums of the objective over the previous and the current window of steps.
        best: The best iterate so far; None if the preset keeps the last one.
        rescue: How the unit is rescued; None if it is not.
    """

    latent: Latent
    optimizer: optax.OptState
    key: jax.Array
    step: jax.Array
    responded: jax.Array
    converged: jax.Array
    windows: jax.Array
    best: Best | None
    rescue: Rescue | None


class Evaluation(NamedTuple):
    """One unit's picture and its score.

    Attributes:
        raw: [height, width, channels] in the network's input units.
        shown: [height, width, channels] in [0, 1], cropped for display.
        score: The objective of `raw`, a scalar.
    """

    raw: jax.Array
    shown: jax.Array
    score: jax.Array


@dataclass(frozen=True)
class Ascent:
    """Gradient ascent on one unit's picture.

    Attributes:
        objective: The value that steps increase.
        score: The value of a finished, untransformed picture.
        parameterization: How a latent becomes a picture.
        transforms: Random image changes that the picture must be robust to.
        keep_transformed: Whether a step starts from the transformed picture, as in tf-keras-vis.
        draws: Number of transformed pictures that a step averages over.
        optimizer: How a gradient updates the latent.
        steps: Number of updates.
        stop: When to stop earlier; None for never.
        patience: Number of steps after which a unit without any gradient stops; None for never.
        keep_best: Whether the result is the best iterate instead of the last.
        value_range: Converts between the preset's units and the network's input units.
        display: How the result is shown.
        shape: (height, width, channels) of the optimised image.
    """

    objective: Measure
    score: Measure
    parameterization: Parameterization
    transforms: Sequence[Transform]
    keep_transformed: bool
    draws: int
    optimizer: optax.GradientTransformationExtraArgs
    steps: int
    stop: Stop | None
    patience: int | None
    keep_best: bool
    value_range: ValueRange
    display: Display
    shape: tuple[int, int, int]

    def start(self, key: jax.Array, rescue: Rescue | None = None) -> State:
        """Draw the initial state from the unit's key.

        Args:
            key: The unit's key.
            rescue: How the unit is rescued, if it is.
        """
        return self._state(self.parameterization.init(key, self.shape), key, rescue)

    def start_from(self, raw: jax.Array, key: jax.Array, rescue: Rescue | None = None) -> State:
        """Make the initial state from an image.

        Args:
            raw: [height, width, channels] in the network's input units.
            key: The unit's key.
            rescue: How the unit is rescued, if it is.
        """
        latent = self.parameterization.from_image(self.value_range.from_network(raw))
        return self._state(latent, key, rescue)

    def step(self, state: State, channel: jax.Array) -> State:
        """Update the latent once by gradient ascent; a finished unit stays unchanged.

        Args:
            state: The state before the step.
            channel: The unit's channel, an integer scalar.
        """
        progress = state.step / max(1, self.steps - 1)
        # the initial state used the key itself
        key = jax.random.fold_in(state.key, state.step)
        latent = state.latent
        if self.keep_transformed:
            moved = apply_all(self.transforms, key, self._picture(latent), progress)
            latent = self.parameterization.from_image(moved)

        rescue = None if state.rescue is None else state.rescue.at(state.step)

        def value(latent: Latent) -> jax.Array:
            return self._value(latent, channel, key, progress, rescue)

        here, gradient = jax.value_and_grad(value)(latent)
        downhill = jax.tree.map(jnp.negative, gradient)
        updates, optimizer = self.optimizer.update(downhill, state.optimizer, latent)
        leaves = jax.tree.leaves(gradient)
        moved = jnp.any(jnp.stack([_any_moves(leaf) for leaf in leaves]))
        windows, converged = self._converged(state, here)
        after = State(
            latent=optax.apply_updates(latent, updates),
            optimizer=optimizer,
            key=state.key,
            step=state.step + 1,
            responded=state.responded | moved,
            converged=converged,
            windows=windows,
            best=self._best(state, here, latent),
            rescue=state.rescue,
        )
        finished = self.finished(state)
        chosen: State = jax.tree.map(lambda old, new: jnp.where(finished, old, new), state, after)
        return chosen

    def finished(self, state: State) -> jax.Array:
        """Whether the unit made all steps, converged, or ran out of patience without a gradient."""
        over = (state.step >= self.steps) | state.converged
        if self.patience is None:
            return over
        return over | (~state.responded & (state.step >= self.patience))

    def evaluate(self, state: State, channel: jax.Array) -> Evaluation:
        """Compute the raw picture, the shown picture and the score.

        Args:
            state: The state after any number of steps.
            channel: The unit's channel, an integer scalar.
        """
        last = self._evaluate(state.latent, channel)
        if state.best is None:
            return last
        # steps compared transformed pictures, so the last one may still score higher
        best = self._evaluate(state.best.latent, channel)
        better = (best.score > last.score) & (state.step > 0)
        chosen: Evaluation = jax.tree.map(lambda a, b: jnp.where(better, a, b), best, last)
        return chosen

    def _evaluate(self, latent: Latent, channel: jax.Array) -> Evaluation:
        picture = self._picture(latent)
        raw = self.value_range.to_network(picture)
        score = self.score(raw, picture, latent, channel, jnp.ones(()), None)
        return Evaluation(raw, self.display.show(raw, self.value_range), score)

    def _value(
        self,
        latent: Latent,
        channel: jax.Array,
        key: jax.Array,
        progress: jax.Array,
        rescue: ActiveRescue | None,
    ) -> jax.Array:
        picture = self._picture(latent)

        def one(key: jax.Array) -> jax.Array:
            drawn = picture
            if not self.keep_transformed:
                drawn = apply_all(self.transforms, key, picture, progress)
            image = self.value_range.to_network(drawn)
            return self.objective(image, picture, latent, channel, progress, rescue)

        if self.draws == 1:
            return one(key)
        return jnp.mean(jax.vmap(one)(jax.random.split(key, self.draws)))

    def _picture(self, latent: Latent) -> jax.Array:
        return self.parameterization.to_image(latent, self.shape)

    def _state(self, latent: Latent, key: jax.Array, rescue: Rescue | None) -> State:
        lowest = jnp.full((), -jnp.inf)
        return State(
            latent=latent,
            optimizer=self.optimizer.init(latent),
            key=key,
            step=jnp.zeros((), jnp.int32),
            responded=jnp.zeros((), bool),
            converged=jnp.zeros((), bool),
            windows=jnp.array([-jnp.inf, 0.0]),
            best=Best(lowest, latent) if self.keep_best else None,
            rescue=rescue,
        )

    def _best(self, state: State, value: jax.Array, latent: Latent) -> Best | None:
        if state.best is None:
            return None
        best = state.best
        better = value > best.value
        kept = jax.tree.map(lambda new, old: jnp.where(better, new, old), latent, best.latent)
        return Best(jnp.maximum(best.value, value), kept)

    def _converged(self, state: State, value: jax.Array) -> tuple[jax.Array, jax.Array]:
        if self.stop is None:
            return state.windows, state.converged
        before, current = state.windows[0], state.windows[1] + value
        full = (state.step + 1) % self.stop.window == 0
        flat = current - before <= self.stop.tolerance * jnp.abs(before)
        # a unit that never had a gradient is flat too, but did not converge
        converged = state.converged | (full & flat & state.responded)
        return jnp.where(full, jnp.array([current, 0.0]), jnp.array([before, current])), converged


def _any_moves(gradient: jax.Array) -> jax.Array:
    """Whether any element of a gradient is nonzero.

    A TPU's compiler fuses a maximum with the sum of squares that normalises the update, so it
    reads the gradient once for both. On a CPU the maximum is slower than `any`.
    """
    moves: jax.Array = jax.lax.platform_dependent(
        gradient,
        tpu=lambda g: jnp.max(jnp.abs(g)) != 0,
        default=lambda g: jnp.any(g != 0),
    )
    return moves
