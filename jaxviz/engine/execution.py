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

#: What may be asked for: `auto` is the platform's choice, where that is close enough.
AskedDtype = Literal["auto", "float32", "bfloat16"]

# Where memory traffic bounds a step and the chip multiplies in bfloat16.
_NARROW_PLATFORMS = frozenset({"tpu", "gpu", "cuda", "rocm"})
_DEVICE_CHUNK = 64
# A TPU lays units of few channels along its 128 lanes, and pads fewer units than that.
_TPU_CHUNK = 128


def choose(
    setup: LayerSetup, target: Target, *, chunk: int | None = None, dtype: AskedDtype = "auto"
) -> Execution:
    """How a layer is computed by rule, before anything is compiled or measured.

    Args:
        setup: The layer.
        target: The devices.
        chunk: Units in one compiled call; chosen where None.
        dtype: What the network is computed in; `auto` is the platform's choice.
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
    """The implementation of each node, by name."""
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
    """Shapes of the nodes of which all channels are computed."""
    shapes = setup.node_shapes
    if len(setup.taps) > 1:
        return shapes
    alone = {node.name for node in plan_channel(setup.spec, setup.layer, shapes).single}
    return {name: shape for name, shape in shapes.items() if name not in alone}


def with_effort(execution: Execution, setup: LayerSetup, target: Target, units: int) -> Execution:
    """The same with the effort that the step's compile is worth for that many units."""
    if execution.effort is not None or target.platform != "cpu":
        return execution
    return execution.changed(effort=effort_for(setup.unit_gflop * units))


def continued(kept: Execution | None, chosen: Execution, setup: LayerSetup) -> Execution:
    """How an earlier run computed the layer, as far as this version can.

    Args:
        kept: What the manifest holds; None for a layer that nobody has begun.
        chosen: What this version would choose, whose implementations are taken where `kept`
            names some that this version does not have.
        setup: The layer.
    """
    if kept is None:
        return chosen
    if known(setup.spec, kept.implementations):
        return kept
    return kept.changed(implementations=chosen.implementations)


def notes(layer: str, before: Execution, after: Execution) -> list[str]:
    """What a user should know of the difference between two executions, one sentence each."""
    found = []
    if before.dtype != after.dtype:
        found.append(
            f"Layer {layer!r} is computed in float32, because bfloat16 is too far from it "
            f"({after.fidelity})."
        )
    elif before.implementations != after.implementations:
        found.append(
            f"Another version began layer {layer!r} with implementations that this one does not "
            "have. The units still to make differ from the others in rounding."
        )
    found += [
        f"Layer {layer!r}: {chunk} units at once do not fit into the device's memory; "
        f"the run continues with {after.chunk}."
        for chunk in after.did_not_fit[len(before.did_not_fit) :]
    ]
    return found


def preferred_dtype(asked: AskedDtype, platform: str) -> Dtype:
    """What a layer is computed in, unless it turns out to be too far from float32.

    Example:
        >>> preferred_dtype("auto", "tpu"), preferred_dtype("auto", "cpu")
        ('bfloat16', 'float32')
    """
    if asked != "auto":
        return asked
    return "bfloat16" if platform in _NARROW_PLATFORMS else "float32"
