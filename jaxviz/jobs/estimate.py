"""What an atlas will cost: per layer the chunk, memory and time, before it is made.

For devices that are there a few steps are timed. For others the step is compiled ahead of
time: what the compiler counts, against the chip's speed and bandwidth, says how long it takes
at least.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

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

#: Share of what the chip's figures allow that a step is taken to reach. A guess: it was never
#: measured on a chip. `jaxviz bench` measures it where there is one.
EFFICIENCY = 0.5
#: Seconds that are spent on timing steps, and on one layer.
BUDGET, _ON_A_LAYER = 60.0, 1.0
# Bytes on disk (store, sheet, tiles, page) per byte of pictures: 2.3 to 2.5 were measured.
_ON_DISK = 2.5


class LayerCost(BaseModel):
    """What one layer costs.

    Attributes:
        layer: Its name.
        pictures: How many are made.
        size: (height, width) of the optimised image.
        steps: Updates of each picture, all attempts together.
        chunk: Units in one compiled call, over all devices.
        dtype: What the network is computed in.
        memory: Bytes that a device needs for its share of a chunk.
        flops: Operations per picture and step.
        bytes: Bytes moved to and from memory per picture and step; None where not compiled.
        seconds: Of one device, per picture and step.
        basis: Whether `seconds` was `measured` here, comes from the `compiled` program and the
            chip's figures, or is `estimated` from the layers that were measured.
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
    basis: Literal["measured", "compiled", "estimated"]
    hours: float


class Plan(BaseModel):
    """What an atlas costs. Compiling, a few seconds to a minute a layer, is not counted.

    Attributes:
        model: The network's name.
        target: The devices' name.
        devices: How many there are.
        efficiency: Share of the chip's speed that is taken to be reached; None where measured.
        layers: Its layers.
        hours: Device-hours of all layers.
        disk: Bytes of the atlas folder, about.
    """

    model_config = ConfigDict(frozen=True)
    model: str
    target: str
    devices: int
    efficiency: float | None
    layers: tuple[LayerCost, ...]
    hours: float
    disk: float


class _Step(NamedTuple):
    """A chunk's step: the chunk and, per picture, bytes, operations, bytes moved."""

    chunk: int
    memory: float
    flops: float
    moved: float | None


def plan_atlas(
    recipe: AtlasRecipe,
    target: str | None = None,
    *,
    efficiency: float = EFFICIENCY,
    budget: float = BUDGET,
) -> Plan:
    """Work out what an atlas costs; nothing is written.

    Args:
        recipe: What to make.
        target: Name of devices that are not there; those that are where left out.
        efficiency: Share of a chip's speed or bandwidth that is taken to be reached.
        budget: Seconds that may be spent on timing. The layers that take longest are timed
            first, the others judged by the one with the most similar step.

    Raises:
        ConfigError: If there is no such target, or what compiles for it is not installed.
        MemoryLimitError: If a layer's step fits into no chunk.
    """
    devices = find_target(target)
    job = prepare(recipe, devices)
    if devices.present:
        rows = _measured(job.renderers, budget)
    else:
        assert devices.chip is not None
        rows = [_compiled(renderer, devices.chip, efficiency) for renderer in job.renderers]
    costs = []
    for (step, seconds, basis), renderer, plan in zip(rows, job.renderers, job.plans, strict=True):
        setup = renderer.setup
        steps = setup.preset.steps * recipe.attempts
        # the last chunk is filled up
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


def _compiled(renderer: LayerRenderer, chip: Chip, efficiency: float) -> tuple[_Step, float, Any]:
    step = compiled_step(renderer)
    calculated = step.flops / chip.flops[renderer.execution.dtype]
    moved = (step.moved or 0.0) / chip.bandwidth
    return step, max(calculated, moved) / efficiency, "compiled"


def compiled_step(renderer: LayerRenderer) -> _Step:
    """Compile a layer's step with as many units at once as fit.

    Raises:
        MemoryLimitError: If not one unit a device fits.
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
            f"not even one unit of layer {renderer.setup.layer!r} fits into {target.name!r}",
            details=[f"needed {needed / 2**30:.2f} GiB, found {target.memory / 2**30:.2f} GiB"],
            hint="Smaller pictures need less: --size N.",
        )
    share, pictures = moving_share(renderer.setup.preset), each * renderer.setup.preset.replicates
    flops, moved = 0.0, 0.0
    for part, still in ((share, False), (1 - share, True)):
        if not part:
            continue
        program = programs[each]
        if 0 < share < 1:
            renderer.programs.release()  # or what was traced with both branches would be used again
            with decided(still):
                program = renderer.lower(each * devices).compile()
        counted = full_cost(program)  # by XLA's GPU compiler nothing is counted
        if counted:
            flops += part * counted["flops"] / pictures
            moved += part * counted["bytes accessed"] / pictures
        else:
            flops += part * renderer.setup.step_flops
            moved += part * moved_bytes(program.as_text() or "") / pictures
    if 0 < share < 1:
        renderer.programs.release()
    return _Step(each * devices, needed, flops, moved)


def moving_share(preset: Preset) -> float:
    """The share of steps in which a preset's transforms still change the picture.

    Example:
        >>> from jaxviz.presets import get_preset
        >>> moving_share(get_preset("robust")), moving_share(get_preset("keras-io"))
        (0.3, 1.0)
    """
    ends = [getattr(one, "until", 0.0) for one in preset.transforms]
    fading = bool(ends) and all(ends) and max(ends) < 1
    return max(ends) if fading else 1.0


def needed_memory(program: jax.stages.Compiled) -> float:
    """Bytes that a program takes on each device, what it is given and returns included."""
    found: Any = program.memory_analysis()
    sizes = (found.temp_size_in_bytes, found.argument_size_in_bytes, found.output_size_in_bytes)
    return float(sum(sizes) - found.alias_size_in_bytes)


def _measured(
    renderers: Sequence[LayerRenderer], budget: float
) -> list[tuple[_Step, float, Literal["measured", "estimated"]]]:
    """Every layer's step and seconds per picture, those that take longest timed first."""
    flops = [renderer.setup.step_flops for renderer in renderers]
    order = sorted(range(len(flops)), key=lambda n: -flops[n] * renderers[n].setup.units)
    found: dict[int, float] = {}
    end = time.monotonic() + budget
    for number in order:
        if not found or time.monotonic() < end:
            found[number] = timed_step(renderers[number])
    rows: list[tuple[_Step, float, Literal["measured", "estimated"]]] = []
    for number, renderer in enumerate(renderers):
        chunk, dtype = renderer.execution.chunk, renderer.execution.dtype
        memory = renderer.setup.estimated_memory(chunk, dtype)
        step = _Step(chunk, memory, flops[number], None)
        like = min(found, key=lambda n: abs(np.log(flops[n] / flops[number])))
        seconds = found[like] * flops[number] / flops[like]
        rows.append((step, seconds, "measured" if number in found else "estimated"))
    return rows


def timed_step(renderer: LayerRenderer, limit: float = _ON_A_LAYER) -> float:
    """Seconds of one device per picture and step: the best of the steps in about `limit`."""
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
        if end is None:  # the first compiles
            end = now + limit
            continue
        best = min(best, now - began)
        if now > end:
            break
    else:
        best = min(best, now - began)
    pictures = chunk * setup.preset.replicates
    return best * len(renderer.target.devices) / pictures
