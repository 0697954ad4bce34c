"""Make the pictures of one layer's units, with programs that are compiled once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from threading import Event

import jax
import numpy as np
from jaxtyping import Float, Int, UInt8

from jaxviz.engine.execution import AskedDtype, choose, with_effort
from jaxviz.engine.memory import with_fewer_units
from jaxviz.engine.precision import check_precision
from jaxviz.engine.program import Program
from jaxviz.engine.programs import ProgramCache
from jaxviz.engine.rescue import Attempt, attempts, retry, unreachable
from jaxviz.engine.setup import HasWeights, LayerSetup, layer_setup
from jaxviz.engine.slots import Finished, Slots, run_in_lanes
from jaxviz.engine.tuning import likely_chunk, tune
from jaxviz.presets import Preset
from jaxviz.runtime.devices import Target, present_target
from jaxviz.runtime.execution import Execution
from jaxviz.runtime.keys import unit_keys
from jaxviz.status import UnitStatus

# Units without a gradient that are tried again at once on a CPU, because they are few.
_RESCUE_CHUNK = {"cpu": 4}
_MOST_RESCUED = 64
# First start of a rescue; several attempts use the numbers below.
_RESCUE_STARTS = 1 << 16

#: Told the number of units that have just been finished.
OnUnits = Callable[[int], None]


@dataclass(frozen=True)
class RenderResult:
    """The pictures of some units of one layer.

    Attributes:
        images: [unit, height, width, channels] in [0, 1], as shown.
        raw: [unit, height, width, channels]: the optimised images in the model's input
            units, before crop and display.
        scores: [unit] objective on `raw`.
        initial_scores: [unit] the same on the starting images.
        status: [unit] `UnitStatus`: 1 done, 2 dead, 3 failed, 4 rescued.
        channels: [unit] channel of each unit. With several replicates a channel has that many
            units, one after the other.
        reasons: [unit] `Reason`: why a unit is dead, or how it was rescued.
        steps: [unit] updates that were made.
        measures: By name [unit]: `gain`, the score less the initial score; with `measure`
            also those of `Assessor.measure`, and with several attempts `agreement`.
        execution: How the units were computed.
    """

    images: Float[np.ndarray, "unit height width channels"]
    raw: Float[np.ndarray, "unit full_height full_width channels"]
    scores: Float[np.ndarray, " unit"]
    initial_scores: Float[np.ndarray, " unit"]
    status: UInt8[np.ndarray, " unit"]
    channels: Int[np.ndarray, " unit"]
    reasons: UInt8[np.ndarray, " unit"]
    steps: Int[np.ndarray, " unit"]
    measures: dict[str, Float[np.ndarray, " unit"]]
    execution: Execution


@dataclass(frozen=True, eq=False)
class LayerRenderer:
    """Makes pictures of one layer's units; compiles once, however many units there are.

    Attributes:
        setup: What is made.
        execution: How it is computed.
        programs: What is compiled of the two.
    """

    setup: LayerSetup
    execution: Execution
    programs: ProgramCache

    @classmethod
    def for_layer(
        cls,
        model: HasWeights,
        layer: str,
        preset: Preset,
        *,
        size: int | tuple[int, int] | None = None,
        chunk: int | None = None,
        attempts: int = 1,
        measure: bool = False,
        references: np.ndarray | None = None,
        dtype: AskedDtype = "auto",
        target: Target | None = None,
    ) -> LayerRenderer:
        """The renderer of a layer, computed as the device's rules say.

        Args:
            model: A converted model.
            layer: Name of a node.
            preset: How a picture is made.
            size: Side of the image or (height, width); the preset's, or the model's own where
                the layer allows no other.
            chunk: Units in one compiled call; chosen for the device where None.
            attempts: Starts of each unit; the best picture is kept.
            measure: Whether pictures are measured against reference images.
            references: [image, height, width, channels] in the network's units; noise like
                natural images where None.
            dtype: What the network is computed in; `auto` is the platform's choice.
            target: The devices; those of this process where None.
        """
        setup = layer_setup(
            model.spec, layer, preset, size=size, attempts=attempts, measure=measure
        )
        target = target or present_target()
        execution = choose(setup, target, chunk=chunk, dtype=dtype)
        programs = ProgramCache(setup, execution, model, target, references)
        return cls(setup, execution, programs)

    @property
    def target(self) -> Target:
        """The devices."""
        return self.programs.target

    def with_execution(self, execution: Execution) -> LayerRenderer:
        """The same layer computed in another way."""
        return replace(self, execution=execution, programs=self.programs.for_execution(execution))

    def settled(
        self, units: int, before_search: Callable[[], object] = lambda: None
    ) -> LayerRenderer:
        """The same with every decision made: effort, precision, chunk.

        Args:
            units: How many will be made; more units are worth a longer search.
            before_search: Called before anything is timed that must not be disturbed.
        """
        ready = self._with_effort_and_precision(units)
        tuned = tune(ready.programs, ready.execution, units, before_search)
        return ready.with_execution(tuned)

    def compiled(self, units: int, ending: Event) -> LayerRenderer:
        """The same with all programs compiled that `render` is going to call.

        Args:
            units: How many will be made.
            ending: Set when the programs are not wanted any more.
        """
        ready = self._with_effort_and_precision(units)
        ready.programs.compile(likely_chunk(ready.programs, ready.execution, units), ending)
        return ready

    def _with_effort_and_precision(self, units: int) -> LayerRenderer:
        execution = with_effort(self.execution, self.setup, self.target, units)
        ready = self.with_execution(execution)
        checked = ready.with_execution(check_precision(ready.programs, execution))
        if checked.programs is not ready.programs:
            ready.programs.release()
        return checked

    @cached_property
    def unreachable(self) -> np.ndarray:
        """[unit] whether no image can make the unit fire, as far as interval bounds prove it."""
        setup = self.setup
        proven = np.zeros(0, bool)
        if setup.one_per_channel:
            network = self.programs.network
            proven = unreachable(self.programs.model, network, setup.layer, setup.value_range)
        return proven if len(proven) else np.zeros(setup.units, bool)

    def lower(self, chunk: int) -> jax.stages.Lowered:
        """The step of a chunk (on accelerators the loop of steps), lowered for the target."""
        return self.programs.lower("step", chunk)

    def render(
        self,
        channels: Sequence[int],
        seed: int,
        init: np.ndarray | None = None,
        on_units: OnUnits = lambda count: None,
    ) -> RenderResult:
        """Make the pictures of some channels, `execution.chunk` of them at a time.

        A finished unit makes room for the next. The last chunk is filled by computing a unit
        again, so that every call has one shape. Units without a gradient are tried again
        together, when all are finished.

        Args:
            channels: Channel numbers.
            seed: The user's seed.
            init: Starting images in the model's input units, one per channel or one for all.
            on_units: Told the number of units that have just been finished.

        Returns:
            Pictures and scores. `execution` has a smaller chunk than the renderer's where
            the device's memory was too small.
        """
        ready = self.with_execution(check_precision(self.programs, self.execution))
        numbers = np.asarray(channels, np.int32)
        if init is not None:
            shape = (len(numbers), *self.setup.shape)
            init = np.broadcast_to(init, shape).astype(np.float32)
        rendering = _Rendering(ready, numbers, seed, init)
        starts = [
            rendering.pictures(start, on_units if start == 0 else lambda count: None)
            for start in range(self.setup.attempts)
        ]
        kept = _best(starts)
        measures = rendering.measures(kept, starts)
        return replace(kept, measures=measures, execution=rendering.execution)


class _Rendering:
    """One call of `LayerRenderer.render`; its execution changes where memory runs out."""

    def __init__(
        self, renderer: LayerRenderer, channels: np.ndarray, seed: int, init: np.ndarray | None
    ) -> None:
        self.setup, self.programs = renderer.setup, renderer.programs
        self.renderer, self.execution = renderer, renderer.execution
        self.channels, self.seed, self.init = channels, seed, init

    def pictures(self, start: int, on_units: OnUnits) -> RenderResult:
        """The pictures from one start, the dead units tried again, all of them together."""
        setup, replicates = self.setup, self.setup.preset.replicates
        keys = unit_keys(self.seed, setup.layer, self.channels, start)
        found = self._run(
            self.programs.main,
            self.execution.chunk,
            lambda slots, lanes: run_in_lanes(
                slots, lanes, self.channels, keys, self.init, on_units=on_units
            ),
        )
        rows = np.repeat(self.channels, replicates)
        status, reason = retry(
            found,
            attempts(setup.preset, self.programs.network, setup.layer),
            replicates=replicates,
            judge=self._judge,
            hopeless=lambda: self.renderer.unreachable[rows],
            again=lambda way, units: self._again(way, units, start),
        )
        return RenderResult(
            images=found.shown,
            raw=found.raw,
            scores=found.score,
            initial_scores=found.initial,
            status=status,
            channels=rows.astype(np.int64),
            reasons=reason,
            steps=found.steps,
            measures={},
            execution=self.execution,
        )

    def measures(self, kept: RenderResult, starts: Sequence[RenderResult]) -> dict[str, np.ndarray]:
        """The measures of the kept pictures, by name."""
        with np.errstate(invalid="ignore"):  # of a unit that failed
            measures = {"gain": kept.scores - kept.initial_scores}
        replicates = self.setup.preset.replicates
        if not self.setup.measure:
            return measures
        assessor = self.programs.assessor(self.execution.chunk)
        if self.setup.one_per_channel:
            measures |= assessor.measure(kept.raw, kept.channels)
        if max(len(starts), replicates) > 1:
            raws = [start.raw for start in starts]
            measures["agreement"] = assessor.agreement(kept.raw, raws, replicates)
        return {name: values.astype(np.float32) for name, values in measures.items()}

    def _again(self, attempt: Attempt, units: np.ndarray, start: int) -> Finished:
        """Dead units in another way; few at a time, because they are few."""
        channels = self.channels[units]
        init = None if self.init is None else self.init[units]
        if attempt.another_start:
            assessor = self.programs.assessor(self.execution.chunk)
            init, start = assessor.likeliest(channels, start), start + _RESCUE_STARTS
        keys = unit_keys(self.seed, self.setup.layer, channels, start)
        most = _RESCUE_CHUNK.get(self.programs.target.platform, _MOST_RESCUED)
        return self._run(
            self.programs.rescue,
            min(self.execution.chunk, most),
            lambda slots, lanes: run_in_lanes(
                slots, lanes, channels, keys, init, attempt.rescue(len(channels))
            ),
        )

    def _run(self, program: Program, chunk: int, run: Callable[[Slots, int], Finished]) -> Finished:
        """Units in slots, fewer at a time where they do not fit; later calls keep to that."""
        target = self.programs.target
        found, too_large = with_fewer_units(
            lambda count: run(
                Slots(program, self.programs.weights, target.shared(count)), self.execution.lanes
            ),
            chunk,
            self.setup.layer,
        )
        if too_large:
            fewer = (too_large[-1] + 1) // 2
            self.execution = self.execution.changed(
                chunk=min(self.execution.chunk, fewer),
                did_not_fit=(*self.execution.did_not_fit, *map(target.shared, too_large)),
            )
        return found

    def _judge(self, found: Finished) -> UInt8[np.ndarray, " unit"]:
        """The status of finished units."""
        finite = np.isfinite(found.score) & np.isfinite(found.raw).all(axis=(1, 2, 3))
        # where the objective helps a unit along, a gradient alone does not mean that it fires
        alive = found.responded & (self.programs.main.plain | (found.score != 0))
        status = np.where(alive, UnitStatus.DONE, UnitStatus.DEAD)
        return np.where(finite, status, UnitStatus.FAILED).astype(np.uint8)


def _best(starts: Sequence[RenderResult]) -> RenderResult:
    """The picture with the highest score of each unit."""
    if len(starts) == 1:
        return starts[0]
    scores = np.stack([start.scores for start in starts])
    best = np.argmax(np.where(np.isfinite(scores), scores, -np.inf), axis=0)
    rows = np.arange(len(best))
    arrays = [f.name for f in fields(RenderResult) if f.name not in ("measures", "execution")]
    chosen = {n: np.stack([getattr(s, n) for s in starts])[best, rows] for n in arrays}
    return replace(starts[0], **chosen)
