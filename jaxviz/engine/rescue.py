"""Rescue units without a gradient: try other ways to start them, in a fixed order."""

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

# Steps whose gradients pass through closed activations, as in lucid's `redirected_relu`.
_LEAKY_STEPS = 16
# Weight of the maximum pre-activation, which moves a closed unit. The activation takes over once
# the unit fires.
_PRE_ACTIVATION_WEIGHT = 0.5


class Attempt(NamedTuple):
    """Another way to render a dead unit.

    Attributes:
        reason: The reason that is recorded for a rescued unit.
        relu_leak_steps: Number of first steps in which gradients pass through closed activations.
        pre_activation_weight: Weight of the maximum pre-activation in the objective, 0 to 1.
        with_gradient: Whether the attempt also serves units that had a gradient but never fired.
        another_start: Whether the unit starts from another image.
    """

    reason: Reason
    relu_leak_steps: int
    pre_activation_weight: float
    with_gradient: bool
    another_start: bool = False

    def rescue(self, units: int) -> Rescue:
        """The rescue of a number of units, as [unit] arrays."""
        numbers = (self.relu_leak_steps, self.pre_activation_weight)
        return Rescue(*(np.full(units, number, np.float32) for number in numbers))


def attempts(preset: Preset, network: Network, layer: str) -> list[Attempt]:
    """List the attempts for a dead unit, in order.

    Args:
        preset: How pictures are made.
        network: The architecture.
        layer: The unit's layer.

    Returns:
        The attempts; none if the preset does not rescue units.
    """
    if not preset.rescue:
        return []
    ways, weight = [], 0.0
    rescued = preset.objective.rescue_layer(layer)
    if rescued is not None and network.pre_activation(rescued):
        weight = _PRE_ACTIVATION_WEIGHT
        if not preset.objective.leaks:  # otherwise the first rendering was already like this
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
    """Retry dead units in other ways; rescued units replace the dead ones.

    Args:
        found: Results of the first rendering; the rows of rescued units are overwritten.
        ways: The attempts, in order.
        replicates: Number of rows of each unit; they are retried together.
        judge: Results -> [row] `UnitStatus`.
        hopeless: Returns [row] whether a retry is known to be pointless; called only if some
            rows are dead.
        again: Renders some units, given by number, in one of the ways.

    Returns:
        [row] `UnitStatus` and [row] `Reason`.
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
    """Find units that provably no image in the input range can make fire.

    Args:
        model: The model with the weights.
        network: The architecture.
        layer: The layer.
        value_range: The network's input range.

    Returns:
        [channels] True where interval bounds prove it; empty if they cannot say anything.
    """
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
    # The margin is relative, because the network computes in float32.
    closed: np.ndarray = (bounds[1] < -1e-6 * np.abs(bounds[0])) & (after[0] == after[1])
    return closed
