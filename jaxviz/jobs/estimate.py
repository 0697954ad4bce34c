"""Estimate the cost of an atlas before it is made: chunk, memory and time for each layer.

On present devices some steps are timed. For absent devices the step is compiled ahead of time.
The compiler's counts, divided by the chip's speed and bandwidth, give a lower bound of the time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import numpy as np
from pydantic import BaseModel, ConfigDict

from jaxviz.engine.memory import fitting_chunk
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.engine.slots import Slots
from jaxviz.errors import MemoryLimitError
from jaxviz.jobs.prepare import prepare
from jaxviz.jobs.recipe import AtlasRecipe
from jaxviz.presets import Preset
from jaxviz.runtime.devices import Chip, find_target
from jaxviz.runtime.hlo import full_cost, moved_bytes
from jaxviz.runtime.keys import unit_keys
from jaxviz.transforms.still import decided

#: Assumed fraction of the chip's specified speed or bandwidth. A guess; `jaxviz bench` measures it.
EFFICIENCY = 0.5
#: Seconds for timing all steps, and the steps of one layer.
BUDGET, _ON_A_LAYER = 60.0, 1.0
# Bytes on disk (store, sheet, tiles, page) per byte of pictures.
_ON_DISK = 2.5

#: Where a layer's seconds come from: timed steps, the compiled program and the chip's
#: specifications, or the timings of another layer.
Basis = Literal["measured", "compiled", "estimated"]


class LayerCost(BaseModel):
    """The cost of one layer.

    Attributes:
        layer: The layer's name.
        pictures: Number of pictures.
        size: (height, width) of the optimised image, in pixels.
        steps: Number of updates of each picture, over all attempts.
        chunk: Number of units in one compiled call, over all devices.
        dtype: Type of the network's arithmetic.
        memory: Bytes that a device needs for its share of a chunk.
        flops: Operations per picture and step.
        bytes: Bytes of memory traffic per picture and step; None if the step was not compiled.
        seconds: Seconds of one device per picture and step.
        basis: `measured` by timing steps; `compiled` from the program and the chip's
            specifications; `estimated` from the timing of a similar layer.
        hours: Device-hours of the whole layer.
    """

    model_config = ConfigDict(frozen=True)
    layer: str
    pictures: int
    size: tuple[int, int]
    steps: int
    chunk: int
    dtype: str
    memory: float
    flops: float
    bytes: float | None
    seconds: float
    basis: Basis
    hours: float


class Plan(BaseModel):
    """The cost of an atlas, without compiling (a few seconds to a minute for each layer).

    Attributes:
        model: The network's name.
        target: The devices' name.
        devices: Number of devices.
        efficiency: Assumed fraction of the chip's specified speed; None if steps were timed.
        layers: The cost of each layer.
        hours: Device-hours of all layers.
        disk: Approximate bytes of the atlas's folder.
    """

    model_config = ConfigDict(frozen=True)
    model: str
    target: str
    devices: int
    efficiency: float | None
    layers: tuple[LayerCost, ...]
    hours: float
    disk: float


class StepCost(NamedTuple):
    """The cost of a layer's step.

    Attributes:
        chunk: Number of units in one call, over all devices.
        memory: Bytes that a device needs for its share of the chunk.
        flops: Operations per picture.
        moved: Bytes of memory traffic per picture; None if the step was not compiled.
    """

    chunk: int
    memory: float
    flops: float
    moved: float | None


class _Timing(NamedTuple):
    """A layer's step, and its seconds of one device per picture."""

    step: StepCost
    seconds: float
    basis: Basis


def plan_atlas(
    recipe: AtlasRecipe,
    target: str | None = None,
    *,
    efficiency: float = EFFICIENCY,
    budget: float = BUDGET,
) -> Plan:
    """Estimate the cost of an atlas; nothing is written.

    Args:
        recipe: The recipe.
        target: Name of absent devices; None for the present ones.
        efficiency: Assumed fraction of a chip's specified speed or bandwidth.
        budget: Seconds for timing. The layers with the most work are timed first; the others
            are estimated from the timed layer with the most similar step.

    Raises:
        ConfigError: If the target does not exist, or its compiler is not installed.
        MemoryLimitError: If not even one unit of a layer fits into a device's memory.
    """
    devices = find_target(target)
    job = prepare(recipe, devices)
    if devices.present:
        timings = _measured(job.renderers, budget)
    else:
        assert devices.chip is not None
        timings = [_compiled(renderer, devices.chip, efficiency) for renderer in job.renderers]
    costs = []
    for timing, renderer, plan in zip(timings, job.renderers, job.plans, strict=True):
        step, seconds, basis = timing
        setup = renderer.setup
        steps = setup.preset.steps * recipe.attempts
        # free slots of the last chunk cost as much as used ones
        made = -(-len(plan.channels) // step.chunk) * step.chunk
        costs.append(
            LayerCost(
                layer=plan.name,
                pictures=len(plan.channels),
                size=setup.shape[:2],
                steps=steps,
                chunk=step.chunk,
                dtype=renderer.execution.dtype,
                memory=step.memory,
                flops=step.flops,
                bytes=step.moved,
                seconds=seconds,
                basis=basis,
                hours=made * steps * seconds / 3600,
            )
        )
    pixels = sum(len(p.channels) * p.height * p.width * p.depth for p in job.plans)
    return Plan(
        model=job.bundle.spec.name,
        target=devices.name,
        devices=len(devices.devices),
        efficiency=None if devices.present else efficiency,
        layers=tuple(costs),
        hours=sum(cost.hours for cost in costs),
        disk=_ON_DISK * pixels,
    )


def _compiled(renderer: LayerRenderer, chip: Chip, efficiency: float) -> _Timing:
    step = compiled_step(renderer)
    calculated = step.flops / chip.flops[renderer.execution.dtype]
    moved = (step.moved or 0.0) / chip.bandwidth
    return _Timing(step, max(calculated, moved) / efficiency, "compiled")


def compiled_step(renderer: LayerRenderer) -> StepCost:
    """Compile a layer's step for the largest chunk that fits.

    Raises:
        MemoryLimitError: If not even one unit fits into a device's memory.
    """
    target, programs = renderer.target, {}
    devices = len(target.devices)

    def memory(each: int) -> float:
        if each not in programs:
            programs[each] = renderer.lower(each * devices).compile()
        return needed_memory(programs[each])

    each = fitting_chunk(memory, target.memory, -(-renderer.execution.chunk // devices))
    needed = memory(each)
    if target.memory is not None and needed > target.memory:
        raise MemoryLimitError(
            f"not even one unit of layer {renderer.setup.layer!r} fits into the memory of "
            f"{target.name!r}",
            details=[f"needed {needed / 2**30:.2f} GiB, found {target.memory / 2**30:.2f} GiB"],
            hint=f"Smaller pictures need less memory: --size {max(renderer.setup.shape[:2]) // 2}.",
        )
    share, pictures = moving_share(renderer.setup.preset), each * renderer.setup.preset.replicates
    flops, moved = 0.0, 0.0
    for part, still in ((share, False), (1 - share, True)):
        if not part:
            continue
        program = programs[each]
        if 0 < share < 1:
            renderer.programs.release()  # drops the trace with both branches
            with decided(still):
                program = renderer.lower(each * devices).compile()
        counted = full_cost(program)  # XLA's GPU compiler counts nothing
        if counted:
            flops += part * counted["flops"] / pictures
            moved += part * counted["bytes accessed"] / pictures
        else:
            flops += part * renderer.setup.step_flops
            moved += part * moved_bytes(program.as_text() or "") / pictures
    if 0 < share < 1:
        renderer.programs.release()
    return StepCost(each * devices, needed, flops, moved)


def moving_share(preset: Preset) -> float:
    """The fraction of steps in which a preset's transforms still change the picture.

    Returns:
        0 to 1.

    Example:
        >>> from jaxviz.presets import get_preset
        >>> moving_share(get_preset("robust")), moving_share(get_preset("keras-io"))
        (0.3, 1.0)
    """
    ends = [getattr(one, "until", 0.0) for one in preset.transforms]
    fading = bool(ends) and all(ends) and max(ends) < 1
    return max(ends) if fading else 1.0


def needed_memory(program: jax.stages.Compiled) -> float:
    """Bytes that a program needs on each device, with its arguments and results."""
    sizes = program.memory_analysis()
    assert sizes is not None
    used = (sizes.temp_size_in_bytes, sizes.argument_size_in_bytes, sizes.output_size_in_bytes)
    return float(sum(used) - sizes.alias_size_in_bytes)


def _measured(renderers: Sequence[LayerRenderer], budget: float) -> list[_Timing]:
    """Time the steps of all layers, those with the most work first, as far as the budget goes."""
    flops = [renderer.setup.step_flops for renderer in renderers]
    order = sorted(range(len(flops)), key=lambda n: -flops[n] * renderers[n].setup.units)
    found: dict[int, float] = {}
    end = time.monotonic() + budget
    for number in order:
        if not found or time.monotonic() < end:
            found[number] = timed_step(renderers[number])
    timings: list[_Timing] = []
    for number, renderer in enumerate(renderers):
        chunk, dtype = renderer.execution.chunk, renderer.execution.dtype
        memory = renderer.setup.estimated_memory(chunk, dtype)
        step = StepCost(chunk, memory, flops[number], None)
        like = min(found, key=lambda n: abs(np.log(flops[n] / flops[number])))
        seconds = found[like] * flops[number] / flops[like]
        basis: Basis = "measured" if number in found else "estimated"
        timings.append(_Timing(step, seconds, basis))
    return timings


def timed_step(renderer: LayerRenderer, limit: float = _ON_A_LAYER) -> float:
    """Time a layer's step; the fastest step counts.

    Args:
        renderer: The layer's renderer.
        limit: Seconds for timing, without the compile.

    Returns:
        Seconds of one device per picture and step.
    """
    setup, program, weights = renderer.setup, renderer.programs.main, renderer.programs.weights
    chunk = renderer.target.shared(renderer.execution.chunk)
    numbers = np.arange(chunk, dtype=np.int32) % setup.units
    own = Slots(program, weights, chunk).replicated(numbers, unit_keys(0, setup.layer, numbers))
    state = program.start(weights, own.keys, own.rescue)
    current = jax.numpy.asarray(own.channels)
    best, end = np.inf, None
    for _ in range(setup.preset.steps):
        began = time.perf_counter()
        state = jax.block_until_ready(program.advance(weights, state, current, 1))
        now = time.perf_counter()
        if end is None:  # the first step compiles
            end = now + limit
            continue
        best = min(best, now - began)
        if now > end:
            break
    else:
        best = min(best, now - began)
    pictures = chunk * setup.preset.replicates
    return best * len(renderer.target.devices) / pictures
