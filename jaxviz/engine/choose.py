"""Choose how a layer is computed: chunk, lanes, implementations, dtype, effort."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from jaxviz._util import settings
from jaxviz.engine.chunk_search import first_guess
from jaxviz.engine.memory import fitting_chunk
from jaxviz.engine.setup import LayerSetup
from jaxviz.model.channel import plan_channel
from jaxviz.model.dispatch import choose_implementations, known
from jaxviz.runtime.devices import Target
from jaxviz.runtime.execution import Dtype, Execution
from jaxviz.runtime.workers import lane_count
from jaxviz.runtime.xla_options import effort_for
from jaxviz.spec import Shape

#: `auto` is the platform's choice, replaced by float32 where bfloat16 is not close enough.
AskedDtype = Literal["auto", "float32", "bfloat16"]

# Platforms on which memory traffic bounds a step and the chip multiplies in bfloat16.
_NARROW_PLATFORMS = frozenset({"tpu", "gpu", "cuda", "rocm"})
_DEVICE_CHUNK = 64
# A TPU puts units with few channels on its 128 lanes, and pads fewer units to 128.
_TPU_CHUNK = 128


def choose(
    setup: LayerSetup, target: Target, *, chunk: int | None = None, dtype: AskedDtype = "auto"
) -> Execution:
    """Choose how a layer is computed by rule; nothing is compiled or measured.

    Args:
        setup: The layer and how its pictures are made.
        target: The devices.
        chunk: Number of units in one compiled call; chosen by rule if None.
        dtype: Type of the network's arithmetic; `auto` is the platform's choice.

    Returns:
        An execution without an effort or a fidelity. `tuned` says whether its chunk is final.
    """
    chosen = preferred_dtype(dtype, target.platform)
    lanes = lane_count(target.platform)
    return Execution(
        chunk=chunk or _default_chunk(setup, target, chosen, lanes),
        lanes=lanes,
        implementations=implementations(setup, target, chosen),
        dtype=chosen,
        tuned=chunk is not None or target.platform != "cpu" or settings.TUNING.read() == "off",
    )


def implementations(setup: LayerSetup, target: Target, dtype: Dtype) -> dict[str, str]:
    """Choose an implementation for each node.

    Returns:
        {node name: implementation name}.
    """
    return choose_implementations(
        setup.spec, list(setup.taps), target.platform, setup.node_shapes, dtype
    )


def _default_chunk(setup: LayerSetup, target: Target, dtype: Dtype, lanes: int) -> int:
    if target.platform != "cpu":
        most = _TPU_CHUNK if target.platform == "tpu" else _DEVICE_CHUNK
        each = fitting_chunk(lambda n: setup.estimated_memory(n, dtype), target.memory, most)
        wanted = each * len(target.devices)
    else:
        wanted = first_guess(_wholly_computed(setup))
    share = -(-setup.units // lanes)
    return min(max(1, wanted // setup.preset.replicates), share)


def _wholly_computed(setup: LayerSetup) -> Mapping[str, Shape]:
    """Shapes of the nodes for which all channels are computed."""
    shapes = setup.node_shapes
    if len(setup.taps) > 1:
        return shapes
    alone = {node.name for node in plan_channel(setup.spec, setup.layer, shapes).single}
    return {name: shape for name, shape in shapes.items() if name not in alone}


def with_effort(execution: Execution, setup: LayerSetup, target: Target, units: int) -> Execution:
    """The execution with a compile effort that pays off.

    Args:
        execution: Returned unchanged if its effort is set, or on an accelerator.
        setup: The layer and how its pictures are made.
        target: The devices.
        units: Number of units that will be rendered.
    """
    if execution.effort is not None or target.platform != "cpu":
        return execution
    return execution.changed(effort=effort_for(setup.unit_gflop * units))


def continued(kept: Execution | None, chosen: Execution, setup: LayerSetup) -> Execution:
    """The execution of an earlier run, as far as this version supports it.

    Args:
        kept: The manifest's execution; None for a layer that no run has begun.
        chosen: This version's choice. Its implementations are taken if `kept` names one that
            this version does not have.
        setup: The layer and how its pictures are made.
    """
    if kept is None:
        return chosen
    if known(setup.spec, kept.implementations):
        return kept
    return kept.changed(implementations=chosen.implementations)


def notes(layer: str, before: Execution, after: Execution) -> list[str]:
    """Describe the difference between two executions to the user.

    Args:
        layer: The layer's name.
        before: The earlier execution.
        after: The later execution.

    Returns:
        One note for each change that affects pictures or memory.
    """
    found = []
    if before.dtype != after.dtype:
        found.append(
            f"Layer {layer!r} is computed in float32, because its gradients in bfloat16 are not "
            f"close enough ({after.fidelity})."
        )
    elif before.implementations != after.implementations:
        found.append(
            f"Another version of jaxviz began layer {layer!r} with implementations that this "
            "version does not have. The remaining units may differ in rounding."
        )
    found += [
        f"Layer {layer!r}: {chunk} units at once do not fit into the device's memory; "
        f"continuing with {after.chunk}."
        for chunk in after.did_not_fit[len(before.did_not_fit) :]
    ]
    return found


def preferred_dtype(asked: AskedDtype, platform: str) -> Dtype:
    """The type that a layer is computed in before its precision is checked.

    Args:
        asked: The user's choice.
        platform: As `jax.default_backend()` names it.

    Example:
        >>> preferred_dtype("auto", "tpu"), preferred_dtype("auto", "cpu")
        ('bfloat16', 'float32')
    """
    if asked != "auto":
        return asked
    return "bfloat16" if platform in _NARROW_PLATFORMS else "float32"
