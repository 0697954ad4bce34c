"""A queue of units that take turns in the slots of a chunk.

A finished unit makes room for the next. Nothing is compiled again, and no picture depends on
its slot or its neighbours. Starting or evaluating one unit costs as much as a full chunk, so
both run a chunk at a time even when units finish at different steps.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Event, Lock
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxviz.engine.ascent import Rescue, State
from jaxviz.engine.program import Program
from jaxviz.model.graph import Params
from jaxviz.runtime import interrupt
from jaxviz.runtime.keys import as_key
from jaxviz.runtime.workers import side_by_side

# An interrupt waits for the steps under way, so they are few.
_STEPS_UNDER_WAY = 8


class Finished(NamedTuple):
    """The results of some units, in the order of the request.

    With several replicates a unit has several neighbouring rows.

    Attributes:
        raw: [unit, height, width, channels] final images in the network's input units.
        shown: [unit, height, width, channels] the same images in [0, 1], cropped.
        score: [unit] scores of the final images.
        initial: [unit] scores of the starting images.
        responded: [unit] whether there was a gradient at any step.
        steps: [unit] number of updates.
    """

    raw: np.ndarray
    shown: np.ndarray
    score: np.ndarray
    initial: np.ndarray
    responded: np.ndarray
    steps: np.ndarray


class UnitArrays(NamedTuple):
    """The arguments of each unit, [unit, …]; with several replicates [unit, replicate, …].

    Attributes:
        channels: Channel numbers.
        keys: Key data from `unit_keys`, [unit, 2].
        init: Starting images; None for the preset's.
        rescue: How each unit is rescued; None if none is.
    """

    channels: np.ndarray
    keys: np.ndarray
    init: np.ndarray | None
    rescue: Rescue | None


class Slots:
    """Renders any number of units in the slots of one chunk.

    Args:
        program: The compiled stages.
        params: The network's weights.
        count: Number of slots.
    """

    def __init__(self, program: Program, params: Params, count: int) -> None:
        self.program, self.params, self.count = program, params, count

    def run(
        self,
        channels: np.ndarray,
        keys: np.ndarray,
        init: np.ndarray | None,
        rescue: Rescue | None = None,
        on_units: Callable[[int], None] = lambda count: None,
        ending: Event | None = None,
    ) -> Finished:
        """Render all units.

        Args:
            channels: [unit] channel numbers.
            keys: [unit, 2] key data from `unit_keys`.
            init: [unit, height, width, channels] starting images; None for the preset's.
            rescue: [unit] how each unit is rescued; None for the preset's way.
            on_units: Called with the number of units that have just finished.
            ending: Set when the result is no longer needed.

        Raises:
            KeyboardInterrupt: If `ending` is set, or Ctrl-C was pressed.
        """
        units = _Progress(self.replicated(channels, keys, init, rescue))
        waiting = np.arange(len(channels))
        fresh, working, finished = (_Chunk(self.count) for _ in range(3))
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
        self,
        channels: np.ndarray,
        keys: np.ndarray,
        init: np.ndarray | None = None,
        rescue: Rescue | None = None,
    ) -> UnitArrays:
        """Collect the arguments of all units; several replicates get an axis of their own.

        Args:
            channels: [unit] channel numbers.
            keys: [unit, 2] key data from `unit_keys`.
            init: [unit, height, width, channels] starting images; None for the preset's.
            rescue: [unit] how each unit is rescued; None for the preset's way.
        """
        count = self.program.preset.replicates
        if count > 1:
            channels = np.repeat(channels[:, None], count, axis=1)
            keys = np.asarray(_keys_of_replicates(keys, count))
            init = None if init is None else np.repeat(init[:, None], count, axis=1)
            rescue = rescue and Rescue(*(np.repeat(n[:, None], count, axis=1) for n in rescue))
        given = self.program.preset_rescue(channels.shape) if rescue is None else rescue
        return UnitArrays(channels, keys, init, given)

    def _begin(self, fresh: _Chunk, waiting: np.ndarray, units: _Progress) -> np.ndarray:
        """Start one chunk of waiting units and record their scores; return the rest."""
        now, later = np.split(waiting, [self.count])
        fresh.owner[: len(now)] = now
        some = fresh.units
        own = units.arrays
        rescue = jax.tree.map(lambda number: number[some], own.rescue)
        if own.init is None:
            fresh.state = self.program.start(self.params, own.keys[some], rescue)
        else:
            fresh.state = self.program.start_from(
                self.params, own.init[some], own.keys[some], rescue
            )
        evaluation = self.program.evaluate(self.params, fresh.state, own.channels[some])
        units.initial[now] = np.asarray(evaluation.score)[: len(now)]
        return later

    def _advance(self, working: _Chunk, units: _Progress, ending: Event | None) -> np.ndarray:
        """Step until a unit may be finished; return the slots with finished units."""
        preset, patience = self.program.preset, self.program.patience
        window = preset.stop.window if preset.stop else preset.steps
        stride = min(preset.steps, window, patience or preset.steps)
        burst = _STEPS_UNDER_WAY if jax.default_backend() == "cpu" else stride
        current = jax.device_put(units.arrays.channels[working.units])
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

    def _end(self, finished: _Chunk, units: _Progress) -> None:
        """Evaluate the finished units, record their results and free their slots."""
        state = finished.state
        assert state is not None
        channels = units.arrays.channels[finished.units]
        evaluation = self.program.evaluate(self.params, state, channels)
        found, steps, responded = jax.device_get((evaluation, state.step, state.responded))
        initial = units.initial[finished.units]
        columns = (found.raw, found.shown, found.score, initial, responded, steps)
        for place in finished.taken:
            row = Finished(*(np.array(column[place]) for column in columns))
            units.done[int(finished.owner[place])] = row
        finished.owner[:] = -1


class _Progress:
    """The progress of all units of one request.

    Attributes:
        arrays: The units' arguments.
        initial: [unit] scores of the starting images; 0 before a unit starts.
        done: {unit: its row of `Finished`}.
    """

    def __init__(self, arrays: UnitArrays) -> None:
        self.arrays = arrays
        self.initial = np.zeros(arrays.channels.shape, np.float32)
        self.done: dict[int, Finished] = {}


class _Chunk:
    """A chunk's slots.

    Attributes:
        owner: [slot] number of the unit in each slot; -1 for a free slot.
        state: The states of all slots; None before the first unit comes.
    """

    def __init__(self, count: int) -> None:
        self.owner = np.full(count, -1)
        self.state: State | None = None

    @property
    def free(self) -> np.ndarray:
        """Numbers of the free slots."""
        return np.flatnonzero(self.owner < 0)

    @property
    def taken(self) -> np.ndarray:
        """Numbers of the slots that hold a unit."""
        return np.flatnonzero(self.owner >= 0)

    @property
    def units(self) -> np.ndarray:
        """[slot] unit numbers. A free slot repeats unit 0, whose results are ignored."""
        numbers: np.ndarray = np.maximum(self.owner, 0)
        return numbers

    def take(self, other: _Chunk, which: np.ndarray, move: Callable[..., State]) -> np.ndarray:
        """Move units from another chunk into free slots.

        Args:
            other: The chunk that gives the units.
            which: The slots of `other` to take.
            move: `Program.move`.

        Returns:
            The slots of `other` that found no free slot here.
        """
        free = self.free[: len(which)]
        which, rest = np.split(which, [len(free)])
        if (
            not self.taken.size and len(which) == other.taken.size
        ):  # the whole chunk: no copy needed
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
    rescue: Rescue | None = None,
    on_units: Callable[[int], None] = lambda count: None,
) -> Finished:
    """Render all units in several lanes, each with an equal share.

    Args:
        slots: The slots of one lane; every lane uses its own chunk.
        lanes: Number of lanes; fewer run if there are not enough units to fill the slots.
        channels: [unit] channel numbers.
        keys: [unit, 2] key data from `unit_keys`.
        init: As for `Slots.run`.
        rescue: As for `Slots.run`.
        on_units: Called with the number of units that have just finished, by one lane at a
            time.
    """
    one_at_a_time = Lock()

    def tell(count: int) -> None:
        with one_at_a_time:
            on_units(count)

    def run(part: np.ndarray, ending: Event) -> Finished:
        own = None if init is None else init[part]
        rescues = rescue and Rescue(*(numbers[part] for numbers in rescue))
        return slots.run(channels[part], keys[part], own, rescues, tell, ending)

    lanes = min(lanes, -(-len(channels) // slots.count))
    parts = side_by_side(run, np.array_split(np.arange(len(channels)), lanes))
    return Finished(*(np.concatenate(column) for column in zip(*parts, strict=True)))


@partial(jax.jit, static_argnums=1)
def _keys_of_replicates(keys: np.ndarray, count: int) -> jax.Array:
    """Fold the replicate's number into each key: [unit, 2] -> [unit, replicate, 2]."""
    fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    each = jax.vmap(fold, in_axes=(0, None))(as_key(keys), jnp.arange(count))
    return jax.random.key_data(each)
