"""The compiled form of one recipe for one layer: every stage vmapped over a chunk of units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxviz.ascent import Ascent, State, View
from jaxviz.model.graph import Params
from jaxviz.model.ops.leaky import leaky_forms
from jaxviz.objectives import Network, Objective, Seen
from jaxviz.presets import Preset
from jaxviz.ranges import Units


class Program:
    """Start, steps and look of a chunk; each is traced once, at its first use.

    Args:
        network: The architecture and how it is computed.
        layer: The layer whose units' pictures are made.
        preset: How.
        units: The network's input range against the preset's.
        shape: (height, width, channels) of the picture.
        traces: Counts compilations by stage.
    """

    def __init__(
        self,
        network: Network,
        layer: str,
        preset: Preset,
        units: Units,
        shape: tuple[int, int, int],
        traces: dict[str, int],
    ) -> None:
        self.preset = preset
        self._network, self._layer, self._traces = network, layer, traces
        self._score = preset.objective.score() or preset.objective
        #: Whether the objective is what is measured, without helps and penalties.
        self.plain = self._score == preset.objective
        self._common: dict[str, Any] = {
            "parameterization": preset.parameterization,
            "transforms": preset.transforms,
            "keep_transformed": preset.keep_transformed,
            "draws": preset.draws,
            "optimizer": preset.optimizer.build(preset.steps),
            "steps": preset.steps,
            "stop": preset.stop,
            "keep_best": preset.keep == "best",
            "units": units,
            "display": preset.display,
            "shape": shape,
        }
        self.start: Callable[..., State] = jax.jit(self._vmapped("start", Ascent.start))
        self.start_from: Callable[..., State] = jax.jit(self._vmapped("start", Ascent.start_from))
        self.look: Callable[..., View] = jax.jit(self._vmapped("look", Ascent.look))
        self._stages = [self._step_stages(network)]
        if preset.redirect:
            forms = leaky_forms(network.spec, network.forms)
            self._stages.insert(0, self._step_stages(replace(network, forms=forms)))
        self.merge = jax.jit(_merge, donate_argnums=2)

    def advance(
        self, params: Params, state: State, channels: jax.Array, begin: int, count: int
    ) -> State:
        """So many steps of every unit that is not finished.

        Args:
            params: The network's weights.
            state: Of all units of the chunk; given up.
            channels: [unit] channel numbers.
            begin: Steps already done, where the first steps differ from the rest.
            count: Steps to do.
        """
        early = max(0, min(count, self.preset.redirect - begin))
        counts = (early, count - early)[-len(self._stages) :]
        for (step, steps), some in zip(self._stages, counts, strict=True):
            # XLA runs convolutions inside a loop body 2.4 to 3.6 times slower on a CPU.
            if jax.default_backend() != "cpu":
                state = steps(params, state, channels, some)
                continue
            for number in range(some):
                state = step(params, state, channels)
                if number % 8 == 7:  # so that an interrupt finds little work under way
                    state.responded.block_until_ready()
        return state

    def _step_stages(self, network: Network) -> tuple[Callable[..., State], Callable[..., State]]:
        step = self._vmapped("step", Ascent.step, network)
        repeated = partial(_repeat, step)
        return jax.jit(step, donate_argnums=1), jax.jit(repeated, donate_argnums=1)

    def _ascent(self, network: Network, params: Params) -> Ascent:
        def measured(objective: Objective) -> Any:
            return partial(self._value, network, objective, params)

        objective, score = measured(self.preset.objective), measured(self._score)
        return Ascent(objective=objective, score=score, **self._common)

    def _value(
        self,
        network: Network,
        objective: Objective,
        params: Params,
        image: jax.Array,
        picture: jax.Array,
        latent: Any,
        channel: jax.Array,
        progress: jax.Array,
    ) -> jax.Array:
        seen = Seen(network, params, image, picture, latent, self._layer, channel)
        return objective.value(seen)

    def _vmapped(
        self, name: str, stage: Callable[..., Any], network: Network | None = None
    ) -> Callable[..., Any]:
        def run(params: Mapping[str, Any], *arguments: Any) -> Any:
            self._traces[name] += 1
            ascent = self._ascent(network or self._network, params)
            return jax.vmap(partial(stage, ascent))(*arguments)

        return run


def _repeat(
    step: Callable[..., State], params: Any, state: State, channels: jax.Array, count: int
) -> State:
    return jax.lax.fori_loop(0, count, lambda _, state: step(params, state, channels), state)


def _merge(fresh: jax.Array, new: State, old: State) -> State:
    """The new state where `fresh`, unit by unit."""

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(fresh.reshape((-1,) + (1,) * (new.ndim - 1)), new, old)

    return jax.tree.map(choose, new, old)
