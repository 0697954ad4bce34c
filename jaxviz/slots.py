"""A queue of units, and the slots of a chunk that they go through.

A unit that is finished makes room for the next: nothing is compiled again, and no unit's
picture depends on which slot it had or who was beside it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxviz.ascent import State
from jaxviz.program import Program


class Finished(NamedTuple):
    """What became of some units, in the order in which they were given.

    Attributes:
        raw: [unit, height, width, channels] in the network's units.
        shown: The same in [0, 1], cropped.
        score: [unit] of the final pictures.
        initial: [unit] of the starting pictures.
        responded: [unit] whether there was a gradient at any step.
        steps: [unit] updates that were made.
    """

    raw: np.ndarray
    shown: np.ndarray
    score: np.ndarray
    initial: np.ndarray
    responded: np.ndarray
    steps: np.ndarray


class Slots:
    """The slots of one chunk.

    Args:
        program: How pictures are made.
        params: The network's weights.
        count: How many slots there are.
    """

    def __init__(self, program: Program, params: Any, count: int) -> None:
        self.program, self.params, self.count = program, params, count

    def run(self, channels: np.ndarray, keys: jax.Array, init: np.ndarray | None) -> Finished:
        """The pictures of all units.

        Args:
            channels: [unit] channel numbers.
            keys: [unit] their keys.
            init: [unit, height, width, channels] starting pictures, or None for the preset's.
        """
        preset = self.program.preset
        stride = preset.steps if preset.stop is None else min(preset.steps, preset.stop.window)
        waiting = list(range(len(channels)))
        owner = np.full(self.count, -1)
        begun = np.zeros(self.count, np.float32)
        steps = np.zeros(self.count, np.int32)
        state: State | None = None
        done: dict[int, tuple[np.ndarray, ...]] = {}
        together = preset.redirect > 0  # all in step, for their first steps are another program
        while waiting or (owner >= 0).any():
            free = owner < 0
            if waiting and (free.all() if together else free.any()):
                owner, taken = _assign(owner, waiting)
                state, scores = self._begin(owner, taken, state, channels, keys, init)
                steps = np.where(taken, 0, steps)
                begun = np.where(taken, scores, begun)
            assert state is not None
            current = jnp.asarray(channels[np.maximum(owner, 0)])
            begin = 0 if not together else int(np.max(np.where(owner >= 0, steps, 0)))
            state = self.program.advance(self.params, state, current, begin, stride)
            steps, converged = jax.device_get((state.step, state.converged))
            over = (owner >= 0) & ((steps >= preset.steps) | converged)
            if over.any():
                view = jax.device_get(self.program.look(self.params, state, current))
                columns = (view.raw, view.shown, view.score, begun, state.responded, steps)
                for slot in np.flatnonzero(over):
                    done[int(owner[slot])] = tuple(np.asarray(c)[slot] for c in columns)
                owner[over] = -1
        rows = [done[unit] for unit in range(len(channels))]
        return Finished(*(np.stack(column) for column in zip(*rows, strict=True)))

    def _begin(
        self,
        owner: np.ndarray,
        taken: np.ndarray,
        state: State | None,
        channels: np.ndarray,
        keys: jax.Array,
        init: np.ndarray | None,
    ) -> tuple[State, np.ndarray]:
        """Start the units that have just come, and say what their starts score."""
        units = np.maximum(owner, 0)  # a slot without a unit repeats one, and nobody looks
        if init is None:
            fresh = self.program.start(self.params, keys[units])
        else:
            fresh = self.program.start_from(self.params, jnp.asarray(init[units]), keys[units])
        view = self.program.look(self.params, fresh, jnp.asarray(channels[units]))
        scores = np.asarray(view.score)
        if state is not None:
            fresh = self.program.merge(jnp.asarray(taken), fresh, state)
        return fresh, scores


def _assign(owner: np.ndarray, waiting: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Free slots take the next units; also which slots did."""
    owner, taken = owner.copy(), np.zeros(len(owner), bool)
    for slot in np.flatnonzero(owner < 0)[: len(waiting)]:
        owner[slot], taken[slot] = waiting.pop(0), True
    return owner, taken
