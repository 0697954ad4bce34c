"""The compiled programs of one layer: every stage vmapped over a chunk of units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxviz.engine.ascent import ActiveRescue, Ascent, Rescue, State
from jaxviz.engine.setup import LayerSetup
from jaxviz.model.graph import Params
from jaxviz.model.leaky import leaky_implementations, with_leak
from jaxviz.objectives import Activations, Network, Objective
from jaxviz.objectives.activations import REPLICATES
from jaxviz.runtime.devices import Target, spread_units
from jaxviz.runtime.keys import as_key
from jaxviz.runtime.workers import CompiledOnce
from jaxviz.runtime.xla_options import Effort, Options, compiler_options

# A unit without a gradient stays where it is, and only its random transforms still change.
_PATIENCE = 8
# A TPU's memory is in tiles of 8 by 128 numbers: of the last two axes, as they lie in memory.
_SUBLANES, _LANES = 8, 128


class Program:
    """Start, steps and evaluation of a chunk; each stage is traced once, at its first use.

    Every array has the unit as its first axis, and with several replicates those as its second.

    Args:
        setup: What is made.
        network: The architecture and how it is computed.
        target: The devices that units are spread over.
        traces: Counts compilations by stage.
        rescue: Whether units are rescued, and stopped early without a gradient.
        effort: What the compile of the step is worth.
    """

    def __init__(
        self,
        setup: LayerSetup,
        network: Network,
        target: Target,
        *,
        traces: dict[str, int],
        rescue: bool = False,
        effort: Effort = "all",
    ) -> None:
        preset = setup.preset
        self.setup, self.preset = setup, preset
        #: Whether units have a `Rescue` in their state.
        self.rescued = rescue or preset.redirect > 0
        #: Steps after which a unit without a gradient is stopped.
        self.patience = _PATIENCE if rescue else None
        # elsewhere units that come one by one cost more than the dead ones that make room
        if not rescue and target.platform == "cpu" and preset.stays_without_gradient:
            self.patience = _patience(preset.steps)
        if self.rescued:
            leaky = leaky_implementations(network.spec, network.implementations)
            network = replace(network, implementations=leaky)
        self._network, self._target, self._traces = network, target, traces
        self._optimizer = preset.optimizer.build(preset.steps)
        self._score = preset.objective.score() or preset.objective
        #: Whether the score is the objective itself, without helping terms and penalties.
        self.plain = self._score == preset.objective
        self._compile_stages(effort)

    def _compile_stages(self, effort: Effort) -> None:
        """Wrap each stage in a `jit` of its own; nothing is compiled yet."""
        step = self._vmapped("step", Ascent.step)
        compact = self._target.platform == "tpu"
        self.start = self._jitted(self._vmapped("start", _start), "little")
        self.start_from = self._jitted(self._vmapped("start", _start_from), effort)
        self.evaluate = self._jitted(self._vmapped("evaluate", Ascent.evaluate), "little")
        self.step = self._jitted(step, effort, donated=True)
        self.steps = self._jitted(partial(_repeat, step, compact), effort, donated=True)
        #: (place to take from or -1, [unit]; states; states) -> the second with some of the first
        self.move = CompiledOnce(
            jax.jit(
                _move,
                out_shardings=self._target.split,
                compiler_options=self._options("little"),
            )
        )

    def _jitted(
        self, stage: Callable[..., Any], effort: Effort, *, donated: bool = False
    ) -> CompiledOnce:
        spread = spread_units(stage, self._target.mesh)
        donate = (1,) if donated else ()
        options = self._options(effort)
        return CompiledOnce(jax.jit(spread, donate_argnums=donate, compiler_options=options))

    def _options(self, effort: Effort) -> Options | None:
        absent = None if self._target.present else self._target.devices[0]
        return compiler_options(self._target.platform, effort, absent)

    def preset_rescue(self, units: tuple[int, ...]) -> Rescue | tuple[()]:
        """How the preset itself rescues units, for arrays of that shape."""
        if not self.rescued:
            return ()
        steps = np.full(units, self.preset.redirect, np.float32)
        return Rescue(steps, np.zeros(units, np.float32))

    def lowered(
        self, stage: str, params: Params, keys: Any, rescues: Any, channels: Any
    ) -> jax.stages.Lowered:
        """One stage for arrays of which only the shapes are given.

        Args:
            stage: `start`, `step` (where steps are looped, the loop) or `evaluate`.
            params: The network's weights.
            keys: [unit, 2] data of the keys of all units of the chunk.
            rescues: [unit] how they are rescued.
            channels: [unit] channel numbers.
        """
        if stage == "start":
            return self.start.lower(params, keys, rescues)
        state = self.start.eval_shape(params, keys, rescues)
        state = self._target.placed(state, split=True)
        if stage == "step" and self._target.looped:
            count = self._target.placed(jax.ShapeDtypeStruct((), np.int32), split=False)
            return self.steps.lower(params, state, channels, count)
        return {"step": self.step, "evaluate": self.evaluate}[stage].lower(params, state, channels)

    def advance(self, params: Params, state: State, channels: jax.Array, count: int) -> State:
        """So many steps of every unit that is not finished.

        Args:
            params: The network's weights.
            state: Of all units of the chunk; given up.
            channels: [unit] channel numbers.
            count: Steps to do.
        """
        # XLA runs convolutions inside a loop body 2.4 to 3.6 times slower on a CPU.
        if self._target.looped:
            # put there explicitly: nothing else is sent while steps are made
            return self.steps(params, state, channels, jax.device_put(np.int32(count)))
        for _ in range(count):
            state = self.step(params, state, channels)
        return state

    def _ascent(self, params: Params) -> Ascent:
        """The ascent of one unit, with the network's weights."""
        preset = self.preset
        return Ascent(
            objective=partial(self._value, preset.objective, params),
            score=partial(self._value, self._score, params),
            parameterization=preset.parameterization,
            transforms=preset.transforms,
            keep_transformed=preset.keep_transformed,
            draws=preset.draws,
            optimizer=self._optimizer,
            steps=preset.steps,
            stop=preset.stop,
            patience=self.patience,
            keep_best=preset.keep == "best",
            value_range=self.setup.value_range,
            display=preset.display,
            shape=self.setup.shape,
        )

    def _value(
        self,
        objective: Objective,
        params: Params,
        image: jax.Array,
        picture: jax.Array,
        latent: Any,
        channel: jax.Array,
        progress: jax.Array,
        rescue: ActiveRescue | None,
    ) -> jax.Array:
        """An objective's value for one image."""
        weight: jax.Array | None = None
        if rescue is not None:
            weight = jnp.asarray(rescue.pre_activation_weight)
            params = with_leak(self._network.spec, params, jnp.asarray(rescue.relu_leak))
        return objective.value(
            Activations(
                self._network,
                params,
                image,
                picture,
                latent,
                self.setup.layer,
                channel,
                progress,
                weight,
            )
        )

    def _vmapped(self, name: str, stage: Callable[..., Any]) -> Callable[..., Any]:
        def run(params: Mapping[str, Any], *arguments: Any) -> Any:
            self._traces[name] += 1
            one: Callable[..., Any] = partial(stage, self._ascent(params))
            if self.preset.replicates > 1:
                one = jax.vmap(one, axis_name=REPLICATES)
            return jax.vmap(one)(*arguments)

        return run


def _patience(steps: int) -> int:
    """Steps between two looks for dead units that leave few to be made for nothing at the end.

    Example:
        >>> [_patience(steps) for steps in (30, 64, 31)]
        [6, 8, 8]
    """
    return min(range(_PATIENCE // 2, _PATIENCE + 1), key=lambda some: (-steps % some, -some))


def _repeat(
    step: Callable[..., State],
    compact: bool,
    params: Any,
    state: State,
    channels: jax.Array,
    count: int,
) -> State:
    """Several steps; `compact` keeps what they hand on as it is given to them.

    A TPU's convolutions want the units along its 128 lanes where an image has few channels. With
    so many units that is how the loop keeps the latents too, and how they are handed to it. With
    fewer they would be padded to as many: float32.
    """

    def body(_: Any, state: State) -> State:
        state = step(params, state, channels)
        return jax.tree.map(with_compact_layout, state) if compact else state

    return jax.lax.fori_loop(
        0, count, body, jax.tree.map(with_compact_layout, state) if compact else state
    )


def with_compact_layout(array: jax.Array) -> jax.Array:
    """The array with its units along the lanes of a TPU, where that needs no padding."""
    from jax.experimental.layout import Layout, with_layout_constraint

    if array.ndim < 2 or jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return array
    few = [axis for axis in range(1, array.ndim) if array.shape[axis] < _SUBLANES]
    many = [axis for axis in range(1, array.ndim) if axis not in few]
    compact = (0, *few, *many)
    if array.shape[0] % _LANES == 0:
        compact = (*many[:-1], *few, *many[-1:], 0)
    return with_layout_constraint(array, Layout(compact))


def _start(ascent: Ascent, key: jax.Array, rescue: Rescue | tuple[()] = ()) -> State:
    return ascent.start(as_key(key), rescue)


def _start_from(
    ascent: Ascent, raw: jax.Array, key: jax.Array, rescue: Rescue | tuple[()] = ()
) -> State:
    return ascent.start_from(raw, as_key(key), rescue)


def _move(source: jax.Array, given: State, kept: State) -> State:
    def choose(given: jax.Array, kept: jax.Array) -> jax.Array:
        taken = source.reshape((-1,) + (1,) * (given.ndim - 1)) >= 0
        return jnp.where(taken, given[jnp.maximum(source, 0)], kept)

    return jax.tree.map(choose, given, kept)
