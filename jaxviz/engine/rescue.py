"""What to do with a unit that has no gradient: other ways to begin, in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxviz.engine.ascent import Rescue
from jaxviz.engine.setup import HasWeights
from jaxviz.engine.slots import Finished
from jaxviz.imaging.ranges import ValueRange
from jaxviz.model.bounds import channel_bounds
from jaxviz.objectives import Network
from jaxviz.presets import Preset
from jaxviz.status import Reason, UnitStatus

#: Steps whose gradients pass through closed activations, as in lucid's `redirected_relu`.
_LEAKY_STEPS = 16
#: Weight of the maximum pre-activation in the objective. It moves a closed unit, and the
#: activation takes over once the unit fires.
_PRE_ACTIVATION_WEIGHT = 0.5


class Attempt(NamedTuple):
    """Another way to make a unit's picture.

    Attributes:
        reason: What is recorded if it works.
        relu_leak_steps: First steps in which gradients pass through closed activations.
        pre_activation_weight: Weight of the maximum pre-activation in the objective, 0 to 1.
        with_gradient: Whether it is also for units that had a gradient and do not fire.
        another_start: Whether it begins from another start.
    """

    reason: Reason
    relu_leak_steps: int
    pre_activation_weight: float
    with_gradient: bool
    another_start: bool = False

    def rescue(self, units: int) -> Rescue:
        """The numbers that every unit's state holds, for that many units."""
        numbers = (self.relu_leak_steps, self.pre_activation_weight)
        return Rescue(*(np.full(units, number, np.float32) for number in numbers))


def attempts(preset: Preset, network: Network, layer: str) -> list[Attempt]:
    """The ways that are tried for a dead unit, in order; none if the preset wants none."""
    if not preset.rescue:
        return []
    ways, weight = [], 0.0
    rescued = preset.objective.rescue_layer(layer)
    if rescued is not None and network.pre_activation(rescued):
        weight = _PRE_ACTIVATION_WEIGHT
        if not preset.objective.leaks:  # else it has been tried just so
            ways.append(Attempt(Reason.PRE_ACTIVATION, preset.redirect, weight, with_gradient=True))
    steps = max(preset.redirect, _LEAKY_STEPS)
    ways.append(Attempt(Reason.LEAKY, steps, weight, with_gradient=False))
    ways.append(
        Attempt(Reason.ANOTHER_START, steps, weight, with_gradient=True, another_start=True)
    )
    return ways


def retry(
    found: Finished,
    ways: Sequence[Attempt],
    *,
    replicates: int,
    judge: Callable[[Finished], np.ndarray],
    hopeless: Callable[[], np.ndarray],
    again: Callable[[Attempt, np.ndarray], Finished],
) -> tuple[np.ndarray, np.ndarray]:
    """Try dead units in other ways, and put what fires in the place of what did not.

    Args:
        found: What became of the units; the rows of rescued ones are replaced.
        ways: What is tried, in order.
        replicates: Rows of each unit, which are tried together.
        judge: Gives the `UnitStatus` of rows.
        hopeless: Gives which rows need not be tried; asked only if some are dead.
        again: Makes the pictures of some units, by number, in one of the ways.

    Returns:
        Status and reason of every row.
    """
    status, moved = judge(found), found.responded.copy()
    reason = np.zeros(len(status), np.uint8)
    for way in ways:
        dead = (status == UnitStatus.DEAD) & (way.with_gradient | ~moved)
        dead &= ~hopeless() if dead.any() else False
        units = np.flatnonzero(dead.reshape(-1, replicates).any(axis=1))
        if not len(units):
            continue
        other = again(way, units)
        rows = (units[:, None] * replicates + np.arange(replicates)).ravel()
        moved[rows] |= other.responded
        fires = (judge(other) == UnitStatus.DONE) & (other.score != 0) & dead[rows]
        for all_rows, some in zip(found, other, strict=True):
            all_rows[rows[fires]] = some[fires]
        status[rows[fires]], reason[rows[fires]] = UnitStatus.RESCUED, way.reason
    dead = status == UnitStatus.DEAD
    reason[dead] = np.where(moved[dead], Reason.CLOSED, Reason.NO_GRADIENT)
    if dead.any():
        reason[dead & hopeless()] = Reason.UNREACHABLE
    return status, reason


def unreachable(
    model: HasWeights, network: Network, layer: str, value_range: ValueRange
) -> np.ndarray:
    """[channels]: which units no image in the input range can make fire, as far as is proven."""
    before = network.pre_activation(layer)
    if before is None:
        return np.zeros(0, bool)
    spec, weights = network.spec, jax.tree.map(np.asarray, model.arrays())
    ends = [
        np.asarray(value_range.to_network(np.full((1, 1, network.shape[-1]), value, np.float32)))[
            0, 0
        ]
        for value in (value_range.low, value_range.high)
    ]
    pixels = np.minimum(*ends).astype(np.float64), np.maximum(*ends).astype(np.float64)
    bounds = channel_bounds(spec, weights, before, pixels)
    after = channel_bounds(spec, weights, layer, pixels)
    if bounds is None or after is None:
        return np.zeros(0, bool)
    # a relative margin, because the network computes in float32
    return (bounds[1] < -1e-6 * np.abs(bounds[0])) & (after[0] == after[1])
