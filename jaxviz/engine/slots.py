"""A queue of units, and the slots of a chunk that they go through.

A unit that is finished makes room for the next: nothing is compiled again, and no unit's
picture depends on which slot it had or who was beside it. Where units end at different times
they are still started and looked at a chunk at a time, for one takes as long as all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Event, Lock
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxviz.engine.ascent import Help, State
from jaxviz.engine.program import Program
from jaxviz.runtime import interrupt
from jaxviz.runtime.keys import as_key
from jaxviz.runtime.workers import side_by_side

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
        units = _Units(*self.replicated(channels, keys, init, help))
        waiting = np.arange(len(channels))
        fresh, working, finished = (_Places(self.count) for _ in range(3))
        while True:
            while working.free.size and (fresh.taken.size or waiting.size):
                if not fresh.taken.size:
                    waiting = self._begin(fresh, waiting, units)
                working.take(fresh, fresh.taken, self.program.move)
            if not working.taken.size:
                break
            over = self._advance(working, units, ending)
            if over.size:
                on_units(len(over) * self.program.preset.replicates)
            while over.size:
                over = finished.take(working, over, self.program.move)
                if not finished.free.size:
                    self._end(finished, units)
        if finished.taken.size:
            self._end(finished, units)
        rows = [units.done[unit] for unit in range(len(channels))]
        join = np.concatenate if self.program.preset.replicates > 1 else np.stack
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

    def _begin(self, fresh: _Places, waiting: np.ndarray, units: _Units) -> np.ndarray:
        """Start as many units as there are places, and say what they score; who still waits."""
        now, later = np.split(waiting, [self.count])
        fresh.owner[: len(now)] = now
        some = fresh.units
        help = jax.tree.map(lambda number: number[some], units.help)
        if units.init is None:
            fresh.state = self.program.start(self.params, units.keys[some], help)
        else:
            fresh.state = self.program.start_from(
                self.params, units.init[some], units.keys[some], help
            )
        view = self.program.look(self.params, fresh.state, units.channels[some])
        units.initial[now] = np.asarray(view.score)[: len(now)]
        return later

    def _advance(self, working: _Places, units: _Units, ending: Event | None) -> np.ndarray:
        """Steps until a unit may be over; the places of those that are."""
        preset, patience = self.program.preset, self.program.patience
        window = preset.stop.window if preset.stop else preset.steps
        stride = min(preset.steps, window, patience or preset.steps)
        burst = _STEPS_UNDER_WAY if jax.default_backend() == "cpu" else stride
        current = jax.device_put(units.channels[working.units])
        assert working.state is not None
        for begin in range(0, stride, burst):
            if interrupt.seen() or (ending is not None and ending.is_set()):
                raise KeyboardInterrupt
            count = min(burst, stride - begin)
            working.state = self.program.advance(self.params, working.state, current, count)
            working.state.responded.block_until_ready()
        state = working.state
        steps, converged, responded = map(
            np.asarray, jax.device_get((state.step, state.converged, state.responded))
        )
        over = (steps >= preset.steps) | converged
        if patience is not None:
            over |= ~responded & (steps >= patience)
        over = over.reshape(self.count, -1).all(axis=1)
        return np.intersect1d(np.flatnonzero(over), working.taken)

    def _end(self, finished: _Places, units: _Units) -> None:
        """Look at the units that are over, and make room."""
        state = finished.state
        assert state is not None
        view = self.program.look(self.params, state, units.channels[finished.units])
        view, steps, responded = jax.device_get((view, state.step, state.responded))
        initial = units.initial[finished.units]
        columns = (view.raw, view.shown, view.score, initial, responded, steps)
        for place in finished.taken:
            units.done[int(finished.owner[place])] = tuple(np.array(c[place]) for c in columns)
        finished.owner[:] = -1


class _Units:
    """What units have of their own, each array [unit, …] or with several replicates [unit, n, …].

    Attributes:
        initial: What their starting pictures score, once they have begun.
        done: For each that has ended a row of `Finished`.
    """

    def __init__(
        self,
        channels: np.ndarray,
        keys: np.ndarray,
        init: np.ndarray | None,
        help: Help | tuple[()],
    ) -> None:
        self.channels, self.keys, self.init, self.help = channels, keys, init, help
        self.initial = np.zeros(channels.shape, np.float32)
        self.done: dict[int, tuple[np.ndarray, ...]] = {}


class _Places:
    """The places of a chunk: the unit in each, or -1, and the states of all, if any."""

    def __init__(self, count: int) -> None:
        self.owner = np.full(count, -1)
        self.state: State | None = None

    @property
    def free(self) -> np.ndarray:
        return np.flatnonzero(self.owner < 0)

    @property
    def taken(self) -> np.ndarray:
        return np.flatnonzero(self.owner >= 0)

    @property
    def units(self) -> np.ndarray:
        """Of every place; one without a unit repeats another, and nobody looks."""
        return np.maximum(self.owner, 0)

    def take(self, other: _Places, which: np.ndarray, move: Callable[..., State]) -> np.ndarray:
        """Have the units at some places of another chunk here; at which are those left over."""
        free = self.free[: len(which)]
        which, rest = np.split(which, [len(free)])
        if not self.taken.size and len(which) == other.taken.size:  # all there are
            self.owner, self.state = other.owner, other.state
            other.owner, other.state = np.full_like(self.owner, -1), None
            return rest
        source = np.full(len(self.owner), -1, np.int32)
        source[free] = which
        kept = other.state if self.state is None else self.state
        self.state = move(source, other.state, kept)
        self.owner[free], other.owner[which] = other.owner[which], -1
        return rest


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
