"""`LayerRenderer`: renders one layer's units with programs that are compiled once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from threading import Event

import jax
import numpy as np
from jaxtyping import Float, Int, UInt8

from jaxviz.engine.choose import AskedDtype, choose, with_effort
from jaxviz.engine.memory import with_fewer_units
from jaxviz.engine.precision import check_precision
from jaxviz.engine.program import Program
from jaxviz.engine.program_cache import ProgramCache
from jaxviz.engine.rescue import Attempt, attempts, retry, unreachable
from jaxviz.engine.setup import HasWeights, LayerSetup, layer_setup
from jaxviz.engine.slots import Finished, Slots, run_in_lanes
from jaxviz.engine.tuning import likely_chunk, tune
from jaxviz.presets import Preset
from jaxviz.runtime.devices import Target, present_target
from jaxviz.runtime.execution import Execution
from jaxviz.runtime.keys import unit_keys
from jaxviz.status import UnitStatus

# Number of dead units that are retried at once, by platform; few, because few units are dead.
_RESCUE_CHUNK = {"cpu": 4}
_MOST_RESCUED = 64
# Number of the first start of a rescue; ordinary attempts use smaller numbers.
_RESCUE_STARTS = 1 << 16

#: Called with the number of units that have just finished.
OnUnits = Callable[[int], None]


@dataclass(frozen=True)
class RenderResult:
    """The pictures and scores of some units of one layer.

    Attributes:
        images: [unit, height, width, channels] in [0, 1], cropped for display.
        raw: [unit, height, width, channels] optimised images in the model's input units,
            before the crop.
        scores: [unit] objective of `raw`.
        initial_scores: [unit] objective of the starting images.
        status: [unit] `UnitStatus`: 1 done, 2 dead, 3 failed, 4 rescued.
        channels: [unit] channel of each unit. Several replicates of a channel are neighbours.
        reasons: [unit] `Reason`: why a unit is dead, or how it was rescued.
        steps: [unit] number of updates.
        measures: {name: [unit]}. `gain` is the score minus the initial score. With `measure`
            also `quantile`, `selectivity` and `robustness`, and with several attempts or
            replicates `agreement`.
        execution: How the units were computed.

    Example:
        >>> import jaxviz
        >>> model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
        >>> result = jaxviz.render(model, "conv1", [0, 3], size=32, steps=2)
        >>> result.raw.shape, sorted(result.measures)
        ((2, 32, 32, 3), ['gain'])
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
    """Renders one layer's units; compiles once, for any number of units.

    A renderer is frozen: every decision about the computation returns another renderer.

    Attributes:
        setup: The layer and how its pictures are made.
        execution: How the layer is computed.
        programs: The compiled programs of the two.

    Example:
        >>> import jaxviz
        >>> bundle = jaxviz.load_bundle(jaxviz.example("galaxy_cnn.keras"))
        >>> preset = jaxviz.PRESETS["keras-io"].override(steps=2)
        >>> renderer = LayerRenderer.for_layer(bundle, "conv1", preset, size=32)
        >>> renderer.settled(units=2).render([0, 3], seed=0).scores.shape
        (2,)
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
        """Make the renderer of a layer, with an execution chosen by rule.

        Args:
            model: A converted model.
            layer: Name of a node.
            preset: How a picture is made.
            size: Side of the image or (height, width), in pixels. None for the preset's size,
                or the model's own if the layer allows no other.
            chunk: Number of units in one compiled call; None lets the device decide.
            attempts: Number of starts of each unit; the best picture is kept.
            measure: Whether pictures are measured against reference images.
            references: [image, height, width, channels] reference images in the network's input
                units; None for noise like natural images.
            dtype: Type of the network's arithmetic; `auto` is the platform's choice.
            target: The devices; None for those of this process.

        Raises:
            LayerError: If the layer does not exist.
            ImageSizeError: If the image is too small, or the layer allows only another size.
            ConfigError: If the preset does not suit the network.
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
        """The devices that share the units."""
        return self.programs.target

    def with_execution(self, execution: Execution) -> LayerRenderer:
        """The renderer of the same layer with another execution; itself if nothing differs."""
        if execution == self.execution:
            return self  # and keeps what it has computed of its units
        return replace(self, execution=execution, programs=self.programs.for_execution(execution))

    def settled(
        self, units: int, before_search: Callable[[], object] = lambda: None
    ) -> LayerRenderer:
        """Decide effort, precision and chunk; may compile and time steps.

        Args:
            units: Number of units that will be rendered; more units allow a longer search.
            before_search: Called before timings that nothing may disturb.

        Returns:
            A renderer whose execution is final.

        Raises:
            MemoryLimitError: If not even one unit fits into the device's memory.
        """
        ready = self._with_effort_and_precision(units)
        tuned = tune(ready.programs, ready.execution, units, before_search)
        return ready.with_execution(tuned)

    def compiled(self, units: int, ending: Event) -> LayerRenderer:
        """Compile all programs that `render` will call.

        Args:
            units: Number of units that will be rendered.
            ending: Set when the programs are no longer needed.

        Returns:
            A renderer with compiled programs; its chunk may still change.
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
        """[unit] True where interval bounds prove that no image makes the unit fire."""
        setup = self.setup
        proven = np.zeros(0, bool)
        if setup.one_per_channel:
            network = self.programs.network
            proven = unreachable(self.programs.model, network, setup.layer, setup.value_range)
        return proven if len(proven) else np.zeros(setup.units, bool)

    def lower(self, chunk: int) -> jax.stages.Lowered:
        """Lower the step (on accelerators the loop of steps) for the target.

        Args:
            chunk: Number of units in the call.
        """
        return self.programs.lower("step", chunk)

    def render(
        self,
        channels: Sequence[int],
        seed: int,
        init: np.ndarray | None = None,
        on_units: OnUnits = lambda count: None,
    ) -> RenderResult:
        """Render some channels, `execution.chunk` of them at a time.

        A finished unit frees its slot for the next. Free slots repeat a unit, so that every call
        has one shape. Dead units are retried together at the end.

        Args:
            channels: Channel numbers.
            seed: The user's seed.
            init: [unit or 1, height, width, channels] starting images in the model's input
                units; None for the preset's.
            on_units: Called with the number of units that have just finished.

        Returns:
            Pictures and scores in the order of `channels`. The chunk in `execution` is smaller
            than the renderer's if memory ran out.

        Raises:
            MemoryLimitError: If not even one unit fits into the device's memory.
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
    """One call of `LayerRenderer.render`; its execution changes if memory runs out."""

    def __init__(
        self, renderer: LayerRenderer, channels: np.ndarray, seed: int, init: np.ndarray | None
    ) -> None:
        self.setup, self.programs = renderer.setup, renderer.programs
        self.renderer, self.execution = renderer, renderer.execution
        self.channels, self.seed, self.init = channels, seed, init

    def pictures(self, start: int, on_units: OnUnits) -> RenderResult:
        """Render all units from one start, and retry the dead ones together."""
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
        """Measure the kept pictures.

        Returns:
            {name: [unit] float32}.
        """
        with np.errstate(invalid="ignore"):  # a failed unit is not finite
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
        """Retry dead units in another way."""
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
        """Run units in slots; if memory runs out, fewer at a time from now on."""
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
        """Determine the `UnitStatus` of finished units."""
        finite = np.isfinite(found.score) & np.isfinite(found.raw).all(axis=(1, 2, 3))
        # a leak gives even a closed unit a gradient, so its score must be nonzero too
        alive = found.responded & (self.programs.main.plain | (found.score != 0))
        status = np.where(alive, UnitStatus.DONE, UnitStatus.DEAD)
        return np.where(finite, status, UnitStatus.FAILED).astype(np.uint8)


def _best(starts: Sequence[RenderResult]) -> RenderResult:
    """Keep each unit's picture with the highest score."""
    if len(starts) == 1:
        return starts[0]
    scores = np.stack([start.scores for start in starts])
    best = np.argmax(np.where(np.isfinite(scores), scores, -np.inf), axis=0)
    rows = np.arange(len(best))
    arrays = [f.name for f in fields(RenderResult) if f.name not in ("measures", "execution")]
    chosen = {n: np.stack([getattr(s, n) for s in starts])[best, rows] for n in arrays}
    return replace(starts[0], **chosen)
