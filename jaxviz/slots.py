"""A queue of units, and the slots of a chunk that they go through.

A unit that is finished makes room for the next: nothing is compiled again, and no unit's
picture depends on which slot it had or who was beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Event, Lock
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxviz import interrupt
from jaxviz.ascent import Help, State
from jaxviz.keys import as_key
from jaxviz.lanes import side_by_side
from jaxviz.program import Program

# So that an interrupt finds little work under way.
_STEPS_UNDER_WAY = 8


class Finished(NamedTuple):
    """What became of some units, in the order in which they were given.

    With several replicates a unit has as many rows, one after the other.

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

    def run(
        self,
        channels: np.ndarray,
        keys: np.ndarray,
        init: np.ndarray | None,
        help: Help | None = None,
        on_units: Callable[[int], None] = lambda count: None,
        ending: Event | None = None,
    ) -> Finished:
        """The pictures of all units.

        Args:
            channels: [unit] channel numbers.
            keys: [unit, 2] their keys, from `unit_keys`.
            init: [unit, height, width, channels] starting pictures, or None for the preset's.
            help: How each unit is helped, [unit] arrays; as the preset says where left out.
            on_units: Called with the number of units that have just been finished.
            ending: Set where the result is not wanted any more.

        Raises:
            KeyboardInterrupt: If `ending` was set, or Ctrl-C was pressed.
        """
        preset, patience = self.program.preset, self.program.patience
        window = preset.stop.window if preset.stop else preset.steps
        stride = min(preset.steps, window, patience or preset.steps)
        channels, keys, init, helps = self.replicated(channels, keys, init, help)
        burst = _STEPS_UNDER_WAY if jax.default_backend() == "cpu" else stride
        waiting = list(range(len(channels)))
        owner = np.full(self.count, -1)
        begun = np.zeros((self.count, *channels.shape[1:]), np.float32)
        state: State | None = None
        done: dict[int, tuple[np.ndarray, ...]] = {}
        while waiting or (owner >= 0).any():
            if waiting and (owner < 0).any():
                owner, taken = _assign(owner, waiting)
                state, scores = self._begin(owner, taken, state, channels, keys, init, helps)
                begun[taken] = scores[taken]
            assert state is not None
            current = jax.device_put(channels[np.maximum(owner, 0)])
            for begin in range(0, stride, burst):
                if interrupt.seen() or (ending is not None and ending.is_set()):
                    raise KeyboardInterrupt
                count = min(burst, stride - begin)
                state = self.program.advance(self.params, state, current, count)
                state.responded.block_until_ready()
            marks = jax.device_get((state.step, state.converged, state.responded))
            steps, converged, responded = map(np.asarray, marks)
            over = (steps >= preset.steps) | converged
            if patience is not None:
                over |= ~responded & (steps >= patience)
            over = over.reshape(self.count, -1).all(axis=1) & (owner >= 0)
            if over.any():
                view = jax.device_get(self.program.look(self.params, state, current))
                columns = (view.raw, view.shown, view.score, begun, responded, steps)
                for slot in np.flatnonzero(over):
                    done[int(owner[slot])] = tuple(np.array(c[slot]) for c in columns)
                owner[over] = -1
                on_units(int(over.sum()) * preset.replicates)
        rows = [done[unit] for unit in range(len(channels))]
        join = np.concatenate if preset.replicates > 1 else np.stack
        return Finished(*(join(column) for column in zip(*rows, strict=True)))

    def replicated(
        self, channels: np.ndarray, keys: np.ndarray, init: np.ndarray | None, help: Help | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, Help | tuple[()]]:
        """What units have of their own, and with several replicates those of theirs too."""
        count = self.program.preset.replicates
        if count > 1:
            channels = np.repeat(channels[:, None], count, axis=1)
            keys = np.asarray(_keys_of_replicates(keys, count))
            init = None if init is None else np.repeat(init[:, None], count, axis=1)
            help = help and Help(*(np.repeat(n[:, None], count, axis=1) for n in help))
        return channels, keys, init, self.program.help(channels.shape) if help is None else help

    def _begin(
        self,
        owner: np.ndarray,
        taken: np.ndarray,
        state: State | None,
        channels: np.ndarray,
        keys: np.ndarray,
        init: np.ndarray | None,
        helps: Help | tuple[()],
    ) -> tuple[State, np.ndarray]:
        """Start the units that have just come, and say what their starts score."""
        units = np.maximum(owner, 0)  # a slot without a unit repeats one, and nobody looks
        help = jax.tree.map(lambda number: number[units], helps)
        if init is None:
            fresh = self.program.start(self.params, keys[units], help)
        else:
            fresh = self.program.start_from(self.params, init[units], keys[units], help)
        view = self.program.look(self.params, fresh, channels[units])
        scores = np.asarray(view.score)
        if state is not None:
            fresh = self.program.merge(taken, fresh, state)
        return fresh, scores


def run_in_lanes(
    slots: Slots,
    lanes: int,
    channels: np.ndarray,
    keys: np.ndarray,
    init: np.ndarray | None,
    help: Help | None = None,
    on_units: Callable[[int], None] = lambda count: None,
) -> Finished:
    """The pictures of all units, an equal part of them in each of some lanes.

    Args:
        slots: What every lane has for itself.
        lanes: How many; fewer where there are not units enough to fill the slots.
        channels: [unit] channel numbers.
        keys: [unit, 2] their keys, from `unit_keys`.
        init: As for `Slots.run`.
        help: As for `Slots.run`.
        on_units: Called with the number of units that have just been finished, by one lane
            at a time.
    """
    one_at_a_time = Lock()

    def tell(count: int) -> None:
        with one_at_a_time:
            on_units(count)

    def run(part: np.ndarray, ending: Event) -> Finished:
        own = None if init is None else init[part]
        helps = help and Help(*(numbers[part] for numbers in help))
        return slots.run(channels[part], keys[part], own, helps, tell, ending)

    lanes = min(lanes, -(-len(channels) // slots.count))
    parts = side_by_side(run, np.array_split(np.arange(len(channels)), lanes))
    return Finished(*(np.concatenate(column) for column in zip(*parts, strict=True)))


@partial(jax.jit, static_argnums=1)
def _keys_of_replicates(keys: np.ndarray, count: int) -> jax.Array:
    """[unit, 2] -> [unit, replicate, 2]."""
    fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    each = jax.vmap(fold, in_axes=(0, None))(as_key(keys), jnp.arange(count))
    return jax.random.key_data(each)


def _assign(owner: np.ndarray, waiting: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Free slots take the next units; also which slots did."""
    owner, taken = owner.copy(), np.zeros(len(owner), bool)
    for slot in np.flatnonzero(owner < 0)[: len(waiting)]:
        owner[slot], taken[slot] = waiting.pop(0), True
    return owner, taken
