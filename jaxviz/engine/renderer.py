"""Many units of one layer at once: vmap over channels, chunks of one shape, compiled once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from threading import Event
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Float, Int, UInt8

from jaxviz.engine import tuning
from jaxviz.engine.ascent import Help
from jaxviz.engine.memory import estimated_memory, fitting_chunk, with_fewer_units
from jaxviz.engine.metrics import Assessor
from jaxviz.engine.precision import AskedDtype, Dtype, Fidelity, compare, narrowed, preferred_dtype
from jaxviz.engine.program import Program
from jaxviz.engine.rescue import Attempt, attempts, retry, unreachable
from jaxviz.engine.shapes import fixed_size, image_shape, upstream_shapes
from jaxviz.engine.slots import Finished, Slots, run_in_lanes
from jaxviz.errors import ImageSizeError, LayerError
from jaxviz.imaging.files import read_image
from jaxviz.imaging.ranges import ValueRange, known_range
from jaxviz.model.channel import plan_channel
from jaxviz.model.cost import step_cost
from jaxviz.model.dispatch import choose_implementations, known, prepare_weights
from jaxviz.objectives import Network
from jaxviz.presets import Preset
from jaxviz.runtime.devices import Target, present_target
from jaxviz.runtime.keys import unit_keys
from jaxviz.runtime.malloc import keep_freed_memory
from jaxviz.runtime.workers import lane_count
from jaxviz.runtime.xla_options import Effort, effort_for
from jaxviz.status import UnitStatus
from jaxviz.transforms import size_after

if TYPE_CHECKING:
    from jaxviz.bundle import Bundle
    from jaxviz.model import Model

_DEVICE_CHUNK = 64
# A TPU lays units of few channels along its 128 lanes, and pads what are fewer.
_TPU_CHUNK = 128
# Units without a gradient that are tried again at once; elsewhere as many as any others.
_RESCUE_CHUNK = {"cpu": 4}
# Starts that are tried for a dead unit are other ones than those of several attempts.
_RESCUE_STARTS = 1 << 16


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
        channels: [unit] which channel each unit is; with several replicates a channel has as
            many units, one after the other.
        reasons: [unit] `Reason`: why a unit is dead, or what rescued it.
        steps: [unit] updates that were made.
        measures: By name [unit]: `gain`, the score less the initial score; with `measure`
            also those of `Assessor.measure`, and with several attempts `agreement`.
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


class LayerRenderer:
    """Makes pictures of one layer's units; compiles once, however many there are.

    Args:
        model: A converted model.
        layer: Name of a node.
        preset: How a picture is made.
        size: Side of the image or (height, width); the preset's, or the model's own where
            the layer allows no other.
        chunk: Units in one compiled call; chosen for the device where left out.
        attempts: Starts of which the best is kept.
        measure: Whether pictures are measured against reference images.
        references: [image, height, width, channels] in the network's units; noise like
            natural images where left out.
        dtype: What the network is computed in; `auto` is the platform's choice.
        target: The devices; those that are there where left out.

    Attributes:
        asked: The preset as it was given.
        preset: The same with its amounts worked out for the picture and the layer.
        shape: (height, width, channels) of the optimised image.
        shown_shape: The same of the picture shown.
        units_in_layer: How many units the layer has: one for each of its channels, unless the
            objective says otherwise.
        chunk: Units in one compiled call.
        lanes: Compiled calls at the same time, each in a thread of its own.
        implementations: The implementation chosen for each node.
        dtype: What the network is computed in.
        fidelity: How near bfloat16 comes to float32, once that has been measured.
        did_not_fit: Chunks for which the device's memory turned out to be too small.
        notes: What a user should know of all this.
        traces: How often each stage was compiled, by name.
    """

    def __init__(
        self,
        model: Model | Bundle,
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
    ) -> None:
        spec = model.spec
        self.target = target or present_target()
        self.spec, self.layer = spec, layer
        targets = list(dict.fromkeys(name or layer for name in (None, *preset.objective.layers())))
        for name in targets:
            spec.node(name)
        self._targets = targets
        self.shape = image_shape(spec, layer, preset, size)
        objective = preset.objective.with_images(partial(read_image, spec=spec, shape=self.shape))
        self.asked = preset = preset.override(objective=objective)
        fields = spec.receptive_field(layer)
        field = None if None in fields else max(n or 0 for n in fields)
        self.preset = preset = preset.at(_side(self.shape), field, signal=self.shape[0] == 1)
        seen = (*size_after(preset.transforms, *self.shape[:2]), self.shape[2])
        self._seen = seen
        shapes = self._check_seen(seen, targets)
        preset.parameterization.check(self.shape)
        objective.check(layer, shapes)
        #: Whether there is one unit for each channel.
        self.of_channels = objective.per_channel
        self.units_in_layer = objective.units(shapes[layer][-1] or 0)
        platform = self.target.platform
        self.dtype: Dtype = preferred_dtype(dtype, platform)
        self.implementations = choose_implementations(spec, targets, platform, shapes, self.dtype)
        self.lanes = lane_count(platform)
        self.chunk = chunk or self._default_chunk(shapes)
        self._tunes = chunk is None and platform == "cpu" and tuning.allowed()
        #: How much the step's compile is worth; not known before the units are counted.
        self.effort: Effort | None = None
        #: Seconds that the step's compile took, where it was compiled ahead.
        self.compiling = 0.0
        self.units = ValueRange(*preset.units, known_range(spec))
        self.units.check_channels(self.shape[-1])
        self.shown_shape = (*preset.display.size(*self.shape[:2]), self.shape[2])
        self.traces = {"start": 0, "step": 0, "look": 0}
        self._programs: dict[bool, Program] = {}
        self._model, self._attempts = model, attempts
        self._measure, self._references = measure, references
        self._never: np.ndarray | None = None
        self.fidelity: Fidelity | None = None
        self.did_not_fit: list[int] = []
        self.notes: list[str] = []

    @property
    def compute(self) -> dict[str, Any]:
        """How units are computed, as JSON: what a manifest keeps, for `restore`."""
        found: dict[str, Any] = {
            "chunk": self.chunk,
            "lanes": self.lanes,
            "forms": self.implementations,
        }
        found |= {"dtype": self.dtype, "tuned": not self._tunes}
        if self.effort is not None:
            found["effort"] = self.effort
        if self.fidelity is not None:
            found["fidelity"] = self.fidelity._asdict()
        if self.did_not_fit:
            found["did_not_fit"] = list(self.did_not_fit)
        return found

    def restore(self, compute: dict[str, Any]) -> None:
        """Compute units as before, or their pictures would differ in rounding."""
        self.chunk, implementations = compute["chunk"], compute["forms"]
        if known(self.spec, implementations):
            self.implementations = implementations
        else:
            self.notes.append(
                f"Layer {self.layer!r} was begun by another version with implementations that "
                "this one does not have: the units still to make differ in rounding."
            )
        self.dtype, self.lanes = compute.get("dtype", "float32"), compute.get("lanes", 1)
        self._tunes, self.effort = not compute.get("tuned", True), compute.get("effort")
        self.did_not_fit = list(compute.get("did_not_fit", []))
        if "fidelity" in compute:
            self.fidelity = Fidelity(**compute["fidelity"])

    def settle(self) -> None:
        """See whether bfloat16 is near enough to float32, and go back to that where it is not.

        Takes two small compilations, seldom three, once a layer; nothing for float32.
        """
        if self.dtype != "bfloat16" or self.fidelity is not None:
            return
        network = replace(self._network, implementations={})
        plain = prepare_weights(self.spec, self._model.arrays(), {}, self._targets)
        wide = self.target.placed(plain, split=False)
        self.fidelity = compare(network, wide, self._params, self.layer, self.units)
        if not self.fidelity.close:
            self.dtype = "float32"
            shapes = self._check_seen(self._seen, self._targets)
            self.implementations = choose_implementations(
                self.spec, self._targets, self.target.platform, shapes
            )
            self.release()
            self.notes.append(
                f"Layer {self.layer!r} is computed in float32: in bfloat16 it would be too far "
                f"from that ({self.fidelity})."
            )

    def estimated_memory(self, units: int) -> float:
        """Bytes that a device needs for so many units, roughly."""
        pictures = units * self.preset.draws * self.preset.replicates
        return estimated_memory(self.spec, self._targets, self._seen, self.dtype, pictures)

    def _default_chunk(self, shapes: dict[str, Any]) -> int:
        if self.target.platform != "cpu":
            most = _TPU_CHUNK if self.target.platform == "tpu" else _DEVICE_CHUNK
            each = fitting_chunk(self.estimated_memory, self.target.memory, most)
            wanted = each * len(self.target.devices)
        else:
            if len(self._targets) == 1:  # of these only one channel is computed
                alone = {node.name for node in plan_channel(self.spec, self.layer, shapes).single}
                shapes = {name: shape for name, shape in shapes.items() if name not in alone}
            wanted = tuning.first_guess(shapes)
        share = -(-self.units_in_layer // self.lanes)
        return min(max(1, wanted // self.preset.replicates), share)

    def tune(self, units: int, before_search: Callable[[], object] = lambda: None) -> None:
        """Choose `chunk` by measurement or from memory, where it was not given.

        Args:
            units: How many there will be; more of them are worth a longer search.
            before_search: Called before anything is measured that must not be disturbed.
        """
        self._count_effort(units)
        if self._tunes:
            self.chunk, self._tunes = tuning.tuned_chunk(self, units, before_search), False

    def _count_effort(self, units: int) -> None:
        """Decide how much the step's compile is worth, for so many units."""
        if self.effort is None and self.target.platform == "cpu":
            self.effort = effort_for(self.unit_gflop * units)

    @cached_property
    def unit_gflop(self) -> float:
        """Billions of operations that a unit's pictures cannot do without, in all their steps."""
        shape = self._network.input_shape(self._seen)
        step = step_cost(self.spec, self.layer, shape).flops * self.preset.draws
        return step * self.preset.steps * self.preset.replicates * self._attempts / 1e9

    def render_chunk(
        self,
        channels: Sequence[int],
        seed: int,
        init: np.ndarray | None = None,
        on_units: Callable[[int], None] = lambda count: None,
    ) -> RenderResult:
        """Make the pictures of some channels, `chunk` of them at a time.

        A unit that is finished makes room for the next; where none is left, the last is
        computed again, so that every call has one shape. Those without a gradient are tried
        again together, when all are finished.

        Args:
            channels: Channel numbers.
            seed: The user's seed.
            init: Starting images in the model's input units, one per channel or one for all.
            on_units: Called with the number of units that have just been finished.
        """
        self.settle()
        numbers = np.asarray(channels, np.int32)
        if init is not None:
            init = np.broadcast_to(init, (len(numbers), *self.shape)).astype(np.float32)
        tell = [on_units, *[lambda count: None] * (self._attempts - 1)]
        starts = [self._picture(numbers, seed, init, n, tell[n]) for n in range(self._attempts)]
        kept = self._best(starts)
        return replace(kept, measures=self._measures(kept, starts))

    def _measures(
        self, kept: RenderResult, starts: Sequence[RenderResult]
    ) -> dict[str, np.ndarray]:
        """What the kept pictures are worth, by name."""
        with np.errstate(invalid="ignore"):  # of a unit that failed
            measures = {"gain": kept.scores - kept.initial_scores}
        replicates = self.preset.replicates
        if not self._measure:
            return measures
        if self.of_channels:
            measures |= self._assessor.measure(kept.raw, kept.channels)
        if max(len(starts), replicates) > 1:
            raws = [start.raw for start in starts]
            measures["agreement"] = self._assessor.agreement(kept.raw, raws, replicates)
        return {name: values.astype(np.float32) for name, values in measures.items()}

    def _picture(
        self,
        numbers: np.ndarray,
        seed: int,
        init: np.ndarray | None,
        start: int,
        on_units: Callable[[int], None],
    ) -> RenderResult:
        """The pictures from one start, the dead tried again, all of them together."""
        keys = unit_keys(seed, self.layer, numbers, start)
        found = self._run(self._program(), self.chunk, numbers, keys, init, on_units=on_units)
        rows = np.repeat(numbers, self.preset.replicates)
        status, reason = retry(
            found,
            attempts(self.preset, self._network, self.layer),
            replicates=self.preset.replicates,
            judge=self._judge,
            hopeless=lambda: self._unreachable(rows),
            again=lambda way, units: self._again(
                way, numbers[units], seed, None if init is None else init[units], start
            ),
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
        )

    def _again(
        self,
        attempt: Attempt,
        numbers: np.ndarray,
        seed: int,
        init: np.ndarray | None,
        start: int,
    ) -> Finished:
        """Dead units in another way; few at a time, for there are few."""
        if attempt.another:
            init, start = self._assessor.likeliest(numbers, start), start + _RESCUE_STARTS
        keys = unit_keys(seed, self.layer, numbers, start)
        help = Help(*(np.full(len(numbers), n, np.float32) for n in (attempt.leak, attempt.behind)))
        few = min(self.chunk, _RESCUE_CHUNK.get(self.target.platform, _DEVICE_CHUNK))
        return self._run(self._program(rescue=True), few, numbers, keys, init, help)

    def _run(self, program: Program, chunk: int, *arguments: Any, **told: Any) -> Finished:
        """Units in slots, fewer at a time where they do not fit; the next are as few at once."""

        def run(chunk: int) -> Finished:
            slots = Slots(program, self._params, self.target.shared(chunk))
            return run_in_lanes(slots, self.lanes, *arguments, **told)

        def shrunk(fewer: int) -> None:
            self.did_not_fit.append(self.target.shared(2 * fewer))
            self.chunk = min(self.chunk, fewer)
            self.notes.append(
                f"Layer {self.layer!r}: the device's memory does not hold "
                f"{self.did_not_fit[-1]} units at once; going on with {fewer}."
            )

        return with_fewer_units(run, chunk, self.layer, shrunk)

    def _best(self, starts: Sequence[RenderResult]) -> RenderResult:
        """Of each unit the picture with the highest score."""
        if len(starts) == 1:
            return starts[0]
        scores = np.stack([start.scores for start in starts])
        best = np.argmax(np.where(np.isfinite(scores), scores, -np.inf), axis=0)
        names = [n for n in RenderResult.__dataclass_fields__ if n != "measures"]
        rows = np.arange(len(best))
        chosen = {n: np.stack([getattr(s, n) for s in starts])[best, rows] for n in names}
        return RenderResult(**chosen, measures={})

    @cached_property
    def _assessor(self) -> Assessor:
        at_once = self.chunk
        if self.target.platform == "cpu":  # whole layers, of which a step computes one channel
            at_once = tuning.first_guess(self._check_seen(self.shape, self._targets))
        return Assessor(
            self._network, self._params, self.layer, self.units, at_once, self._references
        )

    def _judge(self, found: Finished) -> UInt8[np.ndarray, " unit"]:
        """The status of finished units."""
        finite = np.isfinite(found.score) & np.isfinite(found.raw).all(axis=(1, 2, 3))
        # where the objective helps a unit along, a gradient alone does not mean that it fires
        alive = found.responded & (self._program().plain | (found.score != 0))
        status = np.where(alive, UnitStatus.DONE, UnitStatus.DEAD)
        return np.where(finite, status, UnitStatus.FAILED).astype(np.uint8)

    def _unreachable(self, channels: np.ndarray) -> np.ndarray:
        if not self.of_channels:
            return np.zeros(len(channels), bool)
        if self._never is None:
            never = unreachable(self._model, self._network, self.layer, self.units)
            self._never = never if len(never) else np.zeros(self.units_in_layer, bool)
        return self._never[channels]

    def check_channels(self, channels: Sequence[int] | None) -> tuple[int, ...]:
        """The channels asked for, or all; LayerError for those that do not exist."""
        if channels is None:
            return tuple(range(self.units_in_layer))
        if bad := [c for c in channels if not 0 <= c < self.units_in_layer]:
            what = "channel" if self.of_channels else "unit"
            raise LayerError(
                f"layer {self.layer!r} has no {what} {', '.join(map(str, bad[:5]))}",
                hint=f"It has {self.units_in_layer} {what}s: 0 to {self.units_in_layer - 1}.",
            )
        return tuple(int(c) for c in channels)

    def check_init(self, init: np.ndarray, units: int) -> np.ndarray:
        """Starting images, one per unit; ImageSizeError if their shape does not fit."""
        if init.ndim != 4 or init.shape[0] not in (1, units) or init.shape[1:] != self.shape:
            raise ImageSizeError(
                f"the starting images have shape {init.shape}, expected {(units, *self.shape)}"
            )
        return np.broadcast_to(init, (units, *self.shape))

    def _check_seen(self, seen: tuple[int, int, int], targets: Sequence[str]) -> dict[str, Any]:
        """Shapes of everything upstream, for what transforms leave of the picture."""
        if seen != self.shape and fixed_size(self.spec, targets, self.shape[:2]):
            raise ImageSizeError(
                f"layer {self.layer!r} lies behind a dense layer and takes images of "
                f"{self.shape[0]}×{self.shape[1]}, but the transforms of preset "
                f"{self.preset.name!r} leave {seen[0]}×{seen[1]}",
                hint="Take a preset whose transforms keep the size, such as the default.",
            )
        return upstream_shapes(self.spec, targets, seen)

    @cached_property
    def _params(self) -> Any:
        # made late, for a continued run is given the implementations of the first
        if self.target.platform == "cpu":
            keep_freed_memory()
        return self.target.placed(self._prepared(), split=False)

    def _prepared(self) -> Any:
        prepared = prepare_weights(
            self.spec, self._model.arrays(), self.implementations, self._targets
        )
        return narrowed(prepared) if self.dtype == "bfloat16" else prepared

    def lower(self, chunk: int) -> jax.stages.Lowered:
        """The step (where steps are looped, the loop) of a chunk, lowered for the target."""
        return self._program().lowered("step", *self._abstract(chunk))

    def compile(self, units: int, ending: Event) -> None:
        """Compile what `render_chunk` is going to call, so that it need not wait for it.

        Args:
            units: How many there will be.
            ending: Set where it is not wanted any more.
        """
        self.settle()
        self._count_effort(units)
        chunk = tuning.likely_chunk(self, units) if self._tunes else self.chunk
        abstract = self._abstract(chunk)
        for stage in ("step", "start", "look"):
            if ending.is_set():
                return
            began = time.perf_counter()
            self._program().lowered(stage, *abstract).compile()
            if stage == "step":
                self.compiling = time.perf_counter() - began
        if self._measure and not ending.is_set():
            self._assessor.lowered(abstract[0]).compile()

    def release(self) -> None:
        """Give up weights on the device and programs; what needs them again makes them again."""
        self._programs.clear()
        for made in ("_params", "_assessor"):
            self.__dict__.pop(made, None)

    def _abstract(self, chunk: int) -> tuple[Any, ...]:
        """Shapes of weights, keys, helps and channels of a chunk, on the target's devices."""
        replicates = self.preset.replicates
        units = (self.target.shared(chunk), *((replicates,) if replicates > 1 else ()))
        keys = jax.ShapeDtypeStruct((*units, 2), np.uint32)
        helps = jax.eval_shape(partial(self._program().help, units))
        own = keys, helps, jax.ShapeDtypeStruct(units, np.int32)
        params = self.target.placed(jax.tree.map(_shape_of, self._prepared()), split=False)
        return params, *self.target.placed(own, split=True)

    @property
    def _network(self) -> Network:
        # made anew, for a continued run is given the implementations of the first
        return Network(self.spec, self.implementations, self.shape, self.dtype)

    def _program(self, *, rescue: bool = False) -> Program:
        if rescue not in self._programs:
            self._programs[rescue] = Program(
                self._network,
                self.layer,
                self.preset,
                self.units,
                self.shape,
                self.traces,
                self.target,
                rescue,
                # few are tried again
                "some" if rescue and self.effort != "little" else self.effort or "all",
            )
        return self._programs[rescue]


def _shape_of(array: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(np.shape(array), array.dtype)


def _side(shape: tuple[int, ...]) -> int:
    """The shorter side of an image; a signal has one."""
    return max(shape[:2]) if shape[0] == 1 else min(shape[:2])
