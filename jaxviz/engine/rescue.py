"""What to do with a unit that has no gradient: other ways to begin, in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np

from jaxviz.engine.slots import Finished
from jaxviz.imaging.ranges import ValueRange
from jaxviz.model.bounds import channel_bounds
from jaxviz.objectives import Network
from jaxviz.presets import Preset
from jaxviz.status import Reason, UnitStatus

if TYPE_CHECKING:
    from jaxviz.bundle import Bundle
    from jaxviz.model import Model

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
    rescuing = preset.objective.rescue_layer(layer)
    if rescuing is not None and network.pre_activation(rescuing):
        behind = _BEHIND
        if not preset.objective.leaks:  # else it has been tried just so
            ways.append(Attempt(Reason.PRE_ACTIVATION, preset.redirect, behind, moved=True))
    steps = max(preset.redirect, _LEAKY_STEPS)
    ways.append(Attempt(Reason.LEAKY, steps, behind, moved=False))
    ways.append(Attempt(Reason.ANOTHER_START, steps, behind, moved=True, another=True))
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
        dead = (status == UnitStatus.DEAD) & (way.moved | ~moved)
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
    model: Model | Bundle, network: Network, layer: str, units: ValueRange
) -> np.ndarray:
    """[channels]: which units no image in the input range can make fire, as far as is proven."""
    before = network.pre_activation(layer)
    if before is None:
        return np.zeros(0, bool)
    spec, weights = network.spec, jax.tree.map(np.asarray, model.arrays())
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
