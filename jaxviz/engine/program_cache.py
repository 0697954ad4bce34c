"""Compiled programs and prepared weights of one layer, made at their first use."""

from __future__ import annotations

import time
from functools import cached_property, partial
from threading import Event
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxviz.engine.ascent import Rescue
from jaxviz.engine.chunk_search import first_guess
from jaxviz.engine.metrics import Assessor
from jaxviz.engine.program import Program, Stage
from jaxviz.engine.setup import HasWeights, LayerSetup
from jaxviz.model.dispatch import LayerWeights, prepare_weights
from jaxviz.model.graph import Params
from jaxviz.objectives import Network
from jaxviz.runtime.devices import Target
from jaxviz.runtime.execution import Execution
from jaxviz.runtime.malloc import keep_freed_memory

# The step takes longest to compile.
_STAGES: tuple[Stage, ...] = ("step", "start", "evaluate")


class _Shapes(NamedTuple):
    """Shapes of a program's arguments for one chunk, placed on the target's devices."""

    weights: Params
    keys: jax.ShapeDtypeStruct
    rescues: Rescue | None
    channels: jax.ShapeDtypeStruct


class ProgramCache:
    """Compiled programs of one setup and execution, for any chunk size.

    Args:
        setup: The layer and how its pictures are made.
        execution: How the layer is computed.
        model: The model with the weights.
        target: The devices.
        references: [image, height, width, channels] images in the network's input units, which
            pictures are measured against; None for noise like natural images.

    Attributes:
        traces: Number of traces of each stage, by the stage's name.
        step_compile_seconds: Seconds that the step's ahead-of-time compile took; 0 without one.
    """

    def __init__(
        self,
        setup: LayerSetup,
        execution: Execution,
        model: HasWeights,
        target: Target,
        references: np.ndarray | None = None,
    ) -> None:
        self.setup, self.execution, self.target = setup, execution, target
        self.model, self.references = model, references
        self.traces = {"start": 0, "step": 0, "evaluate": 0}
        self.step_compile_seconds = 0.0
        self._programs: dict[bool, Program] = {}
        self._assessor: Assessor | None = None

    def for_execution(self, execution: Execution) -> ProgramCache:
        """This cache if its programs suit another execution too; otherwise an empty cache."""
        if _compiled_alike(self.execution, execution):
            return self
        return ProgramCache(self.setup, execution, self.model, self.target, self.references)

    @property
    def network(self) -> Network:
        """The architecture and how it is computed."""
        return self.setup.network(self.execution)

    @cached_property
    def weights(self) -> Params:
        """The prepared weights on the devices."""
        if self.target.platform == "cpu":
            keep_freed_memory()
        placed: Params = self.target.placed(self._prepared(), split=False)
        return placed

    @property
    def main(self) -> Program:
        """The program that every unit runs first."""
        return self._program(rescue=False)

    @property
    def rescue(self) -> Program:
        """The program that retries units without a gradient."""
        return self._program(rescue=True)

    def assessor(self, chunk: int) -> Assessor:
        """The assessor, which measures pictures and finds starting images for dead units.

        Args:
            chunk: Number of pictures in one call on an accelerator; a CPU has its own rule.
        """
        if self._assessor is None:
            if self.target.platform == "cpu":  # computes all channels, where a step computes one
                chunk = first_guess(self.setup.picture_shapes)
            self._assessor = Assessor(
                self.network,
                self.weights,
                self.setup.layer,
                self.setup.value_range,
                chunk,
                self.references,
            )
        return self._assessor

    def lower(self, stage: Stage, chunk: int) -> jax.stages.Lowered:
        """Lower one stage of the main program for the target.

        Args:
            stage: `start`, `step` (on accelerators the loop of steps) or `evaluate`.
            chunk: Number of units in the call.
        """
        return self.main.lowered(stage, *self._shapes(chunk))

    def compile(self, chunk: int, ending: Event) -> None:
        """Compile everything that rendering will call.

        Args:
            chunk: Number of units in one call.
            ending: Set when the programs are no longer needed.
        """
        shapes = self._shapes(chunk)
        for stage in _STAGES:
            if ending.is_set():
                return
            began = time.perf_counter()
            self.main.lowered(stage, *shapes).compile()
            if stage == "step":
                self.step_compile_seconds = time.perf_counter() - began
        if self.setup.measure and not ending.is_set():
            self.assessor(chunk).lowered(shapes.weights).compile()

    def release(self) -> None:
        """Free the programs and the weights on the device; the next use makes them again."""
        self._programs.clear()
        self._assessor = None
        self.__dict__.pop("weights", None)

    @property
    def released(self) -> bool:
        """Whether the cache holds neither programs nor weights."""
        return not self._programs and "weights" not in self.__dict__

    def _program(self, *, rescue: bool) -> Program:
        if rescue not in self._programs:
            effort = self.execution.effort or "all"
            self._programs[rescue] = Program(
                self.setup,
                self.network,
                self.target,
                traces=self.traces,
                rescue=rescue,
                # only few units are retried
                effort="some" if rescue and effort != "little" else effort,
            )
        return self._programs[rescue]

    def _prepared(self) -> LayerWeights:
        prepared = prepare_weights(
            self.setup.spec,
            self.model.arrays(),
            self.execution.implementations,
            list(self.setup.taps),
        )
        return narrowed(prepared) if self.execution.dtype == "bfloat16" else prepared

    def _shapes(self, chunk: int) -> _Shapes:
        replicates = self.setup.preset.replicates
        units = (self.target.shared(chunk), *((replicates,) if replicates > 1 else ()))
        keys = jax.ShapeDtypeStruct((*units, 2), np.uint32)
        rescues = jax.eval_shape(partial(self.main.preset_rescue, units))
        own = keys, rescues, jax.ShapeDtypeStruct(units, np.int32)
        weights = self.target.placed(jax.tree.map(_shape_of, self._prepared()), split=False)
        return _Shapes(weights, *self.target.placed(own, split=True))


def _compiled_alike(one: Execution, other: Execution) -> bool:
    """Whether two executions share programs; chunks and lanes only change shapes."""
    return (one.implementations, one.dtype, one.effort) == (
        other.implementations,
        other.dtype,
        other.effort,
    )


def narrowed(params: LayerWeights) -> dict[str, dict[str, jax.Array]]:
    """Convert the kernels to bfloat16.

    Arrays with at most one axis, such as biases and statistics, stay as they are. They are
    small, and their arithmetic is fused and in float32.

    Args:
        params: Weights by layer and name.
    """
    return {
        layer: {n: jnp.asarray(a, jnp.bfloat16 if np.ndim(a) > 1 else None) for n, a in own.items()}
        for layer, own in params.items()
    }


def _shape_of(array: np.ndarray | jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(np.shape(array), array.dtype)
