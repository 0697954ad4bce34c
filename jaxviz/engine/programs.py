"""Compiled programs and prepared weights of one layer, made when they are first needed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property, partial
from threading import Event
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxviz.engine.chunk_search import first_guess
from jaxviz.engine.metrics import Assessor
from jaxviz.engine.program import Program
from jaxviz.engine.setup import HasWeights, LayerSetup
from jaxviz.model.dispatch import prepare_weights
from jaxviz.objectives import Network
from jaxviz.runtime.devices import Target
from jaxviz.runtime.execution import Execution
from jaxviz.runtime.malloc import keep_freed_memory


class ProgramCache:
    """What is compiled of one setup and execution, for any chunk size.

    Args:
        setup: What is made.
        execution: How it is computed.
        model: Where the weights come from.
        target: The devices.
        references: [image, height, width, channels] in the network's units that pictures are
            measured against; noise like natural images where None.

    Attributes:
        traces: How often each stage was traced, by name.
        step_compile_seconds: What the step's ahead-of-time compile took; 0 without one.
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
        """This cache where its programs serve `execution` too, else an empty one."""
        if _compiled_alike(self.execution, execution):
            return self
        return ProgramCache(self.setup, execution, self.model, self.target, self.references)

    @property
    def network(self) -> Network:
        """The architecture and how it is computed."""
        return self.setup.network(self.execution)

    @cached_property
    def weights(self) -> Any:
        """The prepared weights on the devices."""
        if self.target.platform == "cpu":
            keep_freed_memory()
        return self.target.placed(self._prepared(), split=False)

    @property
    def main(self) -> Program:
        """The program that every unit goes through first."""
        return self._program(rescue=False)

    @property
    def rescue(self) -> Program:
        """The program in which units without a gradient are tried again."""
        return self._program(rescue=True)

    def assessor(self, chunk: int) -> Assessor:
        """Measures pictures, and finds starts for dead units.

        Args:
            chunk: Pictures in one call, where an accelerator computes.
        """
        if self._assessor is None:
            if self.target.platform == "cpu":  # whole layers, of which a step computes one channel
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

    def lower(self, stage: str, chunk: int) -> jax.stages.Lowered:
        """One stage of a chunk, lowered for the target.

        Args:
            stage: `start`, `step` (on accelerators the loop of steps) or `evaluate`.
            chunk: Units in the call.
        """
        return self.main.lowered(stage, *self._abstract(chunk))

    def compile(self, chunk: int, ending: Event) -> None:
        """Compile what rendering is going to call, so that it need not wait.

        Args:
            chunk: Units in one call.
            ending: Set where the programs are not wanted any more.
        """
        abstract = self._abstract(chunk)
        for stage in ("step", "start", "evaluate"):
            if ending.is_set():
                return
            began = time.perf_counter()
            self.main.lowered(stage, *abstract).compile()
            if stage == "step":
                self.step_compile_seconds = time.perf_counter() - began
        if self.setup.measure and not ending.is_set():
            self.assessor(chunk).lowered(abstract[0]).compile()

    def release(self) -> None:
        """Drop weights on the device and programs; they are made again when needed."""
        self._programs.clear()
        self._assessor = None
        self.__dict__.pop("weights", None)

    @property
    def released(self) -> bool:
        """Whether the cache holds neither programs nor weights at the moment."""
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
                # few units are tried again
                effort="some" if rescue and effort != "little" else effort,
            )
        return self._programs[rescue]

    def _prepared(self) -> Any:
        prepared = prepare_weights(
            self.setup.spec,
            self.model.arrays(),
            self.execution.implementations,
            list(self.setup.taps),
        )
        return narrowed(prepared) if self.execution.dtype == "bfloat16" else prepared

    def _abstract(self, chunk: int) -> tuple[Any, ...]:
        """Shapes of weights, keys, rescues and channels of a chunk, on the target's devices."""
        replicates = self.setup.preset.replicates
        units = (self.target.shared(chunk), *((replicates,) if replicates > 1 else ()))
        keys = jax.ShapeDtypeStruct((*units, 2), np.uint32)
        rescues = jax.eval_shape(partial(self.main.preset_rescue, units))
        own = keys, rescues, jax.ShapeDtypeStruct(units, np.int32)
        weights = self.target.placed(jax.tree.map(_shape_of, self._prepared()), split=False)
        return weights, *self.target.placed(own, split=True)


def _compiled_alike(one: Execution, other: Execution) -> bool:
    """Whether the programs of one execution serve the other; chunks only change shapes."""
    return (one.implementations, one.dtype, one.effort) == (
        other.implementations,
        other.dtype,
        other.effort,
    )


def narrowed(params: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Weights by layer and name, with the kernels in bfloat16.

    Everything with more than one axis is a kernel: what else there is (biases, statistics)
    is small, and is used in arithmetic that is fused and float32 anyway.
    """
    return {
        layer: {n: jnp.asarray(a, jnp.bfloat16 if np.ndim(a) > 1 else None) for n, a in own.items()}
        for layer, own in params.items()
    }


def _shape_of(array: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(np.shape(array), array.dtype)
