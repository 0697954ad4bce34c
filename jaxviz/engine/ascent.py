"""Gradient ascent for ONE unit: start, step, look. Pure; `program` vmaps it over many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxviz.imaging.display import Display
from jaxviz.imaging.ranges import ValueRange
from jaxviz.parameterizations import Parameterization
from jaxviz.presets.stop import Stop
from jaxviz.transforms import Transform, apply_all


class Rescue(NamedTuple):
    """How a unit without a gradient is rescued; numbers, so one program serves every rescue.

    Attributes:
        relu_leak_steps: First steps in which gradients pass through closed activations.
        pre_activation_weight: Weight (0 to 1) of the maximum pre-activation over all positions;
            the objective's usual value gets the rest.
    """

    relu_leak_steps: jax.Array | np.ndarray
    pre_activation_weight: jax.Array | np.ndarray

    def at(self, step: jax.Array) -> ActiveRescue:
        """What of it acts in one step."""
        leak = (step < self.relu_leak_steps).astype(jnp.float32)
        return ActiveRescue(leak, self.pre_activation_weight)


class ActiveRescue(NamedTuple):
    """What of a `Rescue` acts in one step.

    Attributes:
        relu_leak: Share (0 or 1) of the gradient that passes through closed activations.
        pre_activation_weight: As in `Rescue`.
    """

    relu_leak: jax.Array
    pre_activation_weight: jax.Array | np.ndarray


#: (image in the network's units, picture in the preset's units, latent, channel, progress from
#: 0 to 1, rescue if any) -> scalar
Measure = Callable[
    [jax.Array, jax.Array, Any, jax.Array, jax.Array, ActiveRescue | None], jax.Array
]


class State(NamedTuple):
    """What one unit carries from step to step.

    Attributes:
        latent: What is optimised.
        optimizer: Optax' state.
        key: The unit's key, from which every random draw follows.
        step: Updates so far.
        responded: Whether any gradient so far was other than zero.
        converged: Whether the unit has stopped early.
        windows: [2] sums of the objective over the window before and the current one.
        best: The best value so far and the latent that it belongs to; nothing where only
            the last iterate is wanted.
        rescue: How the unit is rescued; nothing where it is not.
    """

    latent: Any
    optimizer: Any
    key: jax.Array
    step: jax.Array
    responded: jax.Array
    converged: jax.Array
    windows: jax.Array
    best: tuple[jax.Array, Any] | tuple[()]
    rescue: Rescue | tuple[()]


class Evaluation(NamedTuple):
    """One unit's picture and its score.

    Attributes:
        raw: [height, width, channels] in the network's input units.
        shown: [height, width, channels] in [0, 1], cropped, for people.
        score: The objective of `raw`, a scalar.
    """

    raw: jax.Array
    shown: jax.Array
    score: jax.Array


@dataclass(frozen=True)
class Ascent:
    """Gradient ascent on one unit's picture.

    Attributes:
        objective: What is maximised.
        score: What is measured of a finished, untransformed picture.
        parameterization: What is optimised.
        transforms: What the picture has to be robust to.
        keep_transformed: Whether a picture stays as a transform leaves it, as tf-keras-vis does.
        draws: Transformed pictures that a step averages over.
        optimizer: How the latent is updated.
        steps: Updates.
        stop: When it ends earlier.
        patience: Steps after which a unit that has had no gradient is stopped; None never.
        keep_best: Whether the best iterate is the result, instead of the last.
        value_range: The network's input range against the preset's.
        display: How the result is shown.
        shape: (height, width, channels) of the image.
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

    def start(self, key: jax.Array, rescue: Rescue | tuple[()] = ()) -> State:
        """The first state, from the unit's key."""
        return self._state(self.parameterization.init(key, self.shape), key, rescue)

    def start_from(self, raw: jax.Array, key: jax.Array, rescue: Rescue | tuple[()] = ()) -> State:
        """The first state, from an image in the network's units."""
        latent = self.parameterization.from_image(self.value_range.from_network(raw))
        return self._state(latent, key, rescue)

    def step(self, state: State, channel: jax.Array) -> State:
        """One update of the latent, uphill; nothing once the unit is finished."""
        progress = state.step / max(1, self.steps - 1)
        # the start used the key itself
        key = jax.random.fold_in(state.key, state.step)
        latent = state.latent
        if self.keep_transformed:
            moved = apply_all(self.transforms, key, self._picture(latent), progress)
            latent = self.parameterization.from_image(moved)

        rescue = state.rescue.at(state.step) if state.rescue else None

        def value(latent: Any) -> jax.Array:
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
        return jax.tree.map(lambda old, new: jnp.where(finished, old, new), state, after)

    def finished(self, state: State) -> jax.Array:
        """Whether all steps are done, the unit has converged, or stopped without a gradient."""
        over = (state.step >= self.steps) | state.converged
        if self.patience is None:
            return over
        return over | (~state.responded & (state.step >= self.patience))

    def evaluate(self, state: State, channel: jax.Array) -> Evaluation:
        """The picture, as it is and as it is shown, and its score."""
        last = self._evaluate(state.latent, channel)
        if not state.best:
            return last
        # the best was judged through its transforms, so the last may still be better
        best = self._evaluate(state.best[1], channel)
        better = (best.score > last.score) & (state.step > 0)
        return jax.tree.map(lambda a, b: jnp.where(better, a, b), best, last)

    def _evaluate(self, latent: Any, channel: jax.Array) -> Evaluation:
        picture = self._picture(latent)
        raw = self.value_range.to_network(picture)
        score = self.score(raw, picture, latent, channel, jnp.ones(()), None)
        return Evaluation(raw, self.display.show(raw, self.value_range), score)

    def _value(
        self,
        latent: Any,
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

    def _picture(self, latent: Any) -> jax.Array:
        return self.parameterization.to_image(latent, self.shape)

    def _state(self, latent: Any, key: jax.Array, rescue: Rescue | tuple[()]) -> State:
        nowhere = jnp.full((), -jnp.inf)
        return State(
            latent=latent,
            optimizer=self.optimizer.init(latent),
            key=key,
            step=jnp.zeros((), jnp.int32),
            responded=jnp.zeros((), bool),
            converged=jnp.zeros((), bool),
            windows=jnp.array([-jnp.inf, 0.0]),
            best=(nowhere, latent) if self.keep_best else (),
            rescue=rescue,
        )

    def _best(self, state: State, value: jax.Array, latent: Any) -> tuple[Any, ...]:
        if not state.best:
            return ()
        best, where = state.best
        better = value > best
        kept = jax.tree.map(lambda new, old: jnp.where(better, new, old), latent, where)
        return jnp.maximum(best, value), kept

    def _converged(self, state: State, value: jax.Array) -> tuple[jax.Array, jax.Array]:
        if self.stop is None:
            return state.windows, state.converged
        before, current = state.windows[0], state.windows[1] + value
        full = (state.step + 1) % self.stop.window == 0
        flat = current - before <= self.stop.tolerance * jnp.abs(before)
        # a unit without any gradient has not converged, it has not begun
        converged = state.converged | (full & flat & state.responded)
        return jnp.where(full, jnp.array([current, 0.0]), jnp.array([before, current])), converged


def _any_moves(gradient: jax.Array) -> jax.Array:
    """Whether any number is not zero.

    As a maximum a TPU's compiler joins it with the sum of squares that an update is divided by,
    and reads the gradient once for both (InceptionV3's conv2d_3 on a v6e: 11.77 → 11.61 MB an
    image and step). On a CPU the maximum takes longer, 0.01 ms for 128×128×3.
    """
    return jax.lax.platform_dependent(
        gradient,
        tpu=lambda g: jnp.max(jnp.abs(g)) != 0,
        default=lambda g: jnp.any(g != 0),
    )
