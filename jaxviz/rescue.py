"""What to do with a unit that has no gradient: other ways to begin, in a fixed order."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jaxviz.bundle import Bundle
from jaxviz.model import Model
from jaxviz.model.bounds import channel_bounds
from jaxviz.objectives import Channel, Network
from jaxviz.presets import Preset
from jaxviz.ranges import Units
from jaxviz.status import Reason

#: Steps whose gradients pass through closed activations, as in lucid's `redirected_relu`.
_LEAKY_STEPS = 16
#: Share of the objective that the highest value before the activation has: what it starts, the
#: activation itself goes on with.
_BEHIND = 0.5


class Attempt(NamedTuple):
    """Another way to make a unit's picture.

    Attributes:
        reason: What is recorded if it works.
        leak: How many first steps let gradients through closed activations.
        behind: Share of the objective that what goes into the activation has.
        moved: Whether it is for units that had a gradient, and yet do not fire.
        another: Whether it begins from another start.
    """

    reason: Reason
    leak: int
    behind: float
    moved: bool
    another: bool = False


def attempts(preset: Preset, network: Network, layer: str) -> list[Attempt]:
    """The ways that are tried for a dead unit, in order; none if the preset wants none."""
    if not preset.rescue:
        return []
    ways, behind = [], 0.0
    objective = preset.objective
    if isinstance(objective, Channel) and network.before(objective.layer or layer):
        behind = _BEHIND
        if not objective.leak:  # else it has been tried just so
            ways.append(Attempt(Reason.PRE_ACTIVATION, preset.redirect, behind, moved=True))
    steps = max(preset.redirect, _LEAKY_STEPS)
    ways.append(Attempt(Reason.LEAKY, steps, behind, moved=False))
    ways.append(Attempt(Reason.ANOTHER_START, steps, behind, moved=True, another=True))
    return ways


def unreachable(model: Model | Bundle, network: Network, layer: str, units: Units) -> np.ndarray:
    """[channels]: which units no image in the input range can make fire, as far as is proven."""
    before = network.before(layer)
    spec = network.spec
    weights: Any = model.weights if isinstance(model, Bundle) else model.arrays()
    if before is None:
        return np.zeros(0, bool)
    ends = [
        np.asarray(units.to_network(np.full((1, 1, network.shape[-1]), value, np.float32)))[0, 0]
        for value in (units.low, units.high)
    ]
    pixels = np.minimum(*ends).astype(np.float64), np.maximum(*ends).astype(np.float64)
    bounds = channel_bounds(spec, weights, before, pixels)
    after = channel_bounds(spec, weights, layer, pixels)
    if bounds is None or after is None:
        return np.zeros(0, bool)
    # a relative margin, for the network computes in float32
    return (bounds[1] < -1e-6 * np.abs(bounds[0])) & (after[0] == after[1])
