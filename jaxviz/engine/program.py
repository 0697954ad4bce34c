"""The compiled programs of one layer: every stage vmapped over a chunk of units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxviz.engine.ascent import ActiveRescue, Ascent, Rescue, State
from jaxviz.engine.setup import LayerSetup
from jaxviz.model.graph import Params
from jaxviz.model.leaky import leaky_implementations, with_leak
from jaxviz.objectives import Activations, Network, Objective
from jaxviz.objectives.activations import REPLICATES, Latent
from jaxviz.runtime.devices import Target, spread_units
from jaxviz.runtime.keys import as_key
from jaxviz.runtime.workers import CompiledOnce
from jaxviz.runtime.xla_options import Effort, Options, compiler_options

#: `step` is the compiled loop of steps on accelerators.
Stage = Literal["start", "step", "evaluate"]

# A unit without a gradient does not move; only its random transforms still differ per step.
_PATIENCE = 8
# A TPU tiles the last two axes in memory by 8 sublanes and 128 lanes.
_SUBLANES, _LANES = 8, 128


class Program:
    """Starts, steps and evaluates a chunk of units; each stage is traced once, at its first use.

    The first axis of every array is the unit; the second is the replicate if there are several.

    Args:
        setup: The layer and how its pictures are made.
        network: The architecture and how it is computed.
        target: The devices that share the units.
        traces: Number of traces of each stage; the program adds its own.
        rescue: Whether units get a `Rescue` and stop early without a gradient.
        effort: Compile effort of the step.
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
        #: Whether the state of a unit holds a `Rescue`.
        self.rescued = rescue or preset.redirect > 0
        #: Number of steps after which a unit without a gradient stops; None for never.
        self.patience = _PATIENCE if rescue else None
        # On accelerators, refilling single slots costs more than stepping dead units.
        if not rescue and target.platform == "cpu" and preset.stays_without_gradient:
            self.patience = _patience(preset.steps)
        if self.rescued:
            leaky = leaky_implementations(network.spec, network.implementations)
            network = replace(network, implementations=leaky)
        self._network, self._target, self._traces = network, target, traces
        self._optimizer = preset.optimizer.build(preset.steps)
        self._score = preset.objective.score() or preset.objective
        #: Whether the score is the whole objective, because it has no penalties or leaks.
        self.plain = self._score == preset.objective
        self._compile_stages(effort)

    def _compile_stages(self, effort: Effort) -> None:
        """Wrap each stage in `jax.jit`; nothing is compiled yet."""
        step = self._vmapped("step", Ascent.step)
        compact = self._target.platform == "tpu"
        self.start = self._jitted(self._vmapped("start", _start), "little")
        self.start_from = self._jitted(self._vmapped("start", _start_from), effort)
        self.evaluate = self._jitted(self._vmapped("evaluate", Ascent.evaluate), "little")
        self.step = self._jitted(step, effort, donated=True)
        self.steps = self._jitted(partial(_repeat, step, compact), effort, donated=True)
        #: (slot to take from, or -1, [unit]; source states; states) -> states with some replaced
        self.move = CompiledOnce(
            jax.jit(
                _move,
                out_shardings=self._target.split,
                compiler_options=self._options("little"),
            )
        )

    def _jitted(
        self, stage: Callable[..., PyTree], effort: Effort, *, donated: bool = False
    ) -> CompiledOnce:
        spread = spread_units(stage, self._target.mesh)
        donate = (1,) if donated else ()
        options = self._options(effort)
        return CompiledOnce(jax.jit(spread, donate_argnums=donate, compiler_options=options))

    def _options(self, effort: Effort) -> Options | None:
        absent = None if self._target.present else self._target.devices[0]
        return compiler_options(self._target.platform, effort, absent)

    def preset_rescue(self, units: tuple[int, ...]) -> Rescue | None:
        """The rescue that the preset gives every unit; None if units are not rescued.

        Args:
            units: Shape of the arrays, [unit] or [unit, replicate].
        """
        if not self.rescued:
            return None
        steps = np.full(units, self.preset.redirect, np.float32)
        return Rescue(steps, np.zeros(units, np.float32))

    def lowered(
        self,
        stage: Stage,
        params: Params,
        keys: jax.ShapeDtypeStruct,
        rescues: Rescue | None,
        channels: jax.ShapeDtypeStruct,
    ) -> jax.stages.Lowered:
        """Lower one stage for arguments of given shapes; their values are not needed.

        Args:
            stage: Which stage.
            params: The network's weights.
            keys: [unit, 2] key data of the chunk's units.
            rescues: [unit] numbers of their rescues.
            channels: [unit] channel numbers.
        """
        lowered: jax.stages.Lowered
        if stage == "start":
            lowered = self.start.lower(params, keys, rescues)
            return lowered
        state = self.start.eval_shape(params, keys, rescues)
        state = self._target.placed(state, split=True)
        if stage == "step" and self._target.looped:
            count = self._target.placed(jax.ShapeDtypeStruct((), np.int32), split=False)
            lowered = self.steps.lower(params, state, channels, count)
        else:
            program = self.step if stage == "step" else self.evaluate
            lowered = program.lower(params, state, channels)
        return lowered

    def advance(self, params: Params, state: State, channels: jax.Array, count: int) -> State:
        """Step every unit of a chunk that is not finished.

        Args:
            params: The network's weights.
            state: The chunk's state; its buffers are donated, so it cannot be used again.
            channels: [unit] channel numbers.
            count: Number of steps.
        """
        # XLA runs convolutions inside a loop body up to 3.6 times slower on a CPU.
        if self._target.looped:
            # an explicit transfer, the only one while steps are made
            state = self.steps(params, state, channels, jax.device_put(np.int32(count)))
            return state
        for _ in range(count):
            state = self.step(params, state, channels)
        return state

    def _ascent(self, params: Params) -> Ascent:
        """The ascent of one unit with given weights."""
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
        latent: Latent,
        channel: jax.Array,
        progress: jax.Array,
        rescue: ActiveRescue | None,
    ) -> jax.Array:
        """Evaluate an objective for one image."""
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

    def _vmapped(self, name: Stage, stage: Callable[..., PyTree]) -> Callable[..., PyTree]:
        def run(params: Params, *arguments: PyTree) -> PyTree:
            self._traces[name] += 1
            one: Callable[..., PyTree] = partial(stage, self._ascent(params))
            if self.preset.replicates > 1:
                one = jax.vmap(one, axis_name=REPLICATES)
            return jax.vmap(one)(*arguments)

        return run


def _patience(steps: int) -> int:
    """Number of steps between two checks for dead units.

    Chosen so that the last interval is as full as possible; longer intervals win ties.

    Example:
        >>> [_patience(steps) for steps in (30, 64, 31)]
        [6, 8, 8]
    """
    return min(range(_PATIENCE // 2, _PATIENCE + 1), key=lambda some: (-steps % some, -some))


def _repeat(
    step: Callable[..., State],
    compact: bool,
    params: Params,
    state: State,
    channels: jax.Array,
    count: int,
) -> State:
    """Run several steps in one loop; `compact` pins the loop-carried arrays to their input layout.

    Where an image has few channels, a TPU's convolutions put the units on its 128 lanes. With a
    multiple of 128 units, the loop keeps the latents in this layout. Fewer than 128 units would
    be padded to 128, in float32.
    """

    def body(_: jax.Array, state: State) -> State:
        state = step(params, state, channels)
        return compacted(state) if compact else state

    def compacted(state: State) -> State:
        pinned: State = jax.tree.map(with_compact_layout, state)
        return pinned

    repeated: State = jax.lax.fori_loop(0, count, body, compacted(state) if compact else state)
    return repeated


def with_compact_layout(array: jax.Array) -> jax.Array:
    """Pin an array [unit, …] to the layout that puts units on a TPU's lanes without padding."""
    from jax.experimental.layout import Layout, with_layout_constraint

    if array.ndim < 2 or jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return array
    few = [axis for axis in range(1, array.ndim) if array.shape[axis] < _SUBLANES]
    many = [axis for axis in range(1, array.ndim) if axis not in few]
    compact = (0, *few, *many)
    if array.shape[0] % _LANES == 0:
        compact = (*many[:-1], *few, *many[-1:], 0)
    pinned: jax.Array = with_layout_constraint(array, Layout(compact))
    return pinned


def _start(ascent: Ascent, key: jax.Array, rescue: Rescue | None = None) -> State:
    return ascent.start(as_key(key), rescue)


def _start_from(
    ascent: Ascent, raw: jax.Array, key: jax.Array, rescue: Rescue | None = None
) -> State:
    return ascent.start_from(raw, as_key(key), rescue)


def _move(source: jax.Array, given: State, kept: State) -> State:
    def choose(given: jax.Array, kept: jax.Array) -> jax.Array:
        taken = source.reshape((-1,) + (1,) * (given.ndim - 1)) >= 0
        return jnp.where(taken, given[jnp.maximum(source, 0)], kept)

    moved: State = jax.tree.map(choose, given, kept)
    return moved
