"""Signals as tiles: pictures of one-dimensional networks, drawn as curves."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

_BACKGROUND, _RULE = "#1b1e23", "#2f343b"
#: Colours of the channels, in order; chosen so that every eye tells them apart.
_COLOURS = ("#6fb1e8", "#eba63c", "#57b894", "#cf7fb5", "#e8e06f", "#f2667a")
# More curves than this in one frame cannot be told apart: each then gets a lane of its own.
_TOGETHER = 3
_HEIGHT, _LANE, _TALLEST = 96, 24, 384
_NARROWEST, _WIDEST = 128, 256
# Curves are drawn larger and reduced, for smooth lines.
_FINER = 3


def curve_size(length: int, channels: int) -> tuple[int, int]:
    """(height, width) of a signal's tile, in pixels.

    Args:
        length: Samples of the signal.
        channels: Number of curves.

    Example:
        >>> curve_size(200, 2), curve_size(5000, 12)
        ((96, 200), (288, 256))
    """
    height = _HEIGHT if channels <= _TOGETHER else min(_TALLEST, max(_HEIGHT, _LANE * channels))
    return height, min(max(length, _NARROWEST), _WIDEST)


def draw_curves(signals: np.ndarray) -> np.ndarray:
    """Draw signals, one tile each.

    Args:
        signals: uint8 [unit, 1, length, channels], 0 at the bottom.

    Returns:
        uint8 [unit, height, width, 3].

    Example:
        >>> draw_curves(np.zeros((2, 1, 50, 1), np.uint8)).shape
        (2, 96, 128, 3)
    """
    return np.stack([_tile(signal[0]) for signal in signals])


def _tile(signal: np.ndarray) -> np.ndarray:
    length, channels = signal.shape
    height, width = curve_size(length, channels)
    tile = Image.new("RGB", (width * _FINER, height * _FINER), _BACKGROUND)
    draw = ImageDraw.Draw(tile)
    lanes = 1 if channels <= _TOGETHER else channels
    lane = tile.height / lanes
    x = np.linspace(0, tile.width - 1, length) if length > 1 else np.array([0.0])
    for number in range(lanes):
        middle = (number + 0.5) * lane
        draw.line((0, middle, tile.width, middle), _RULE, _FINER)
    for channel in range(channels):
        top = (channel if lanes > 1 else 0) * lane
        y = top + (1 - signal[:, channel] / 255) * (lane - 2 * _FINER) + _FINER
        points = list(zip(x.tolist(), y.tolist(), strict=True))
        draw.line(points, _COLOURS[channel % len(_COLOURS)], _FINER + 2, joint="curve")
    return np.asarray(tile.resize((width, height), Image.Resampling.LANCZOS))
