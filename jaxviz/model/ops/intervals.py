"""Interval arithmetic per channel, for bounds on what a unit can reach."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

#: Lowest and highest value of each channel, float64 [channels].
Interval = tuple[np.ndarray, np.ndarray]


def with_zeros(interval: Interval) -> Interval:
    """The interval of a map and of zeros around it."""
    low, high = interval
    return np.minimum(low, 0), np.maximum(high, 0)


def weighted(
    kernel: np.ndarray, interval: Interval, axes: tuple[int, ...], bias: np.ndarray | float = 0.0
) -> Interval:
    """The interval of a weighted sum over some axes, plus a bias.

    Args:
        kernel: Weights of any shape.
        interval: Bounds of the values, broadcast against the kernel.
        axes: Axes that are summed over.
        bias: Added to both ends.

    Example:
        >>> low, high = weighted(np.array([2.0, -1.0]), (np.zeros(2), np.ones(2)), (0,))
        >>> float(low), float(high)
        (-1.0, 2.0)
    """
    low, high = interval
    kernel = kernel.astype(np.float64)
    positive, negative = np.maximum(kernel, 0), np.minimum(kernel, 0)
    least = (positive * low + negative * high).sum(axes) + bias
    return least, (positive * high + negative * low).sum(axes) + bias


def scaled(interval: Interval, scale: np.ndarray, offset: np.ndarray) -> Interval:
    """The interval of x · scale + offset."""
    low, high = interval
    ends = low * scale + offset, high * scale + offset
    return np.minimum(*ends), np.maximum(*ends)


def convolved(
    weights: Mapping[str, np.ndarray], interval: Interval, *, padded: bool
) -> Interval | None:
    """The interval of a product of a kernel [*window, channels, filters] and a map, plus bias.

    Args:
        weights: `kernel`, and `bias` [filters] if there is one.
        interval: Bounds of each channel of the map.
        padded: Whether the window also covers zeros around the map.

    Returns:
        Bounds of each filter; None where the kernel sees a part of the channels alone.
    """
    kernel = weights["kernel"].reshape(-1, *weights["kernel"].shape[-2:])
    if kernel.shape[1] != interval[0].size:
        return None
    low, high = with_zeros(interval) if padded else interval
    return weighted(
        kernel, (low[None, :, None], high[None, :, None]), (0, 1), weights.get("bias", 0.0)
    )
