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


class Attempt(NamedTuple):
    """Another way to make a unit's picture.

    Attributes:
        reason: What is recorded if it works.
        preset: How.
        replicate: Which start.
    """

    reason: Reason
    preset: Preset
    replicate: int


def attempts(preset: Preset, network: Network, layer: str) -> list[Attempt]:
    """The ways that are tried for a dead unit, in order; none if the preset wants none."""
    if not preset.rescue:
        return []
    ways = []
    objective = preset.objective
    if isinstance(objective, Channel) and network.before(objective.layer or layer):
        before = objective.model_copy(update={"leak": 0.0, "stage": "pre_activation"})
        ways.append(Attempt(Reason.PRE_ACTIVATION, preset.override(objective=before), 0))
    steps = min(preset.steps, max(preset.redirect, _LEAKY_STEPS))
    leaky = preset.override(redirect=steps)
    ways.append(Attempt(Reason.LEAKY, leaky, 0))
    ways.append(Attempt(Reason.ANOTHER_START, leaky, 1))
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
