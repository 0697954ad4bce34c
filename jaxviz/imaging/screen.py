"""Pictures of any depth as something a screen can show."""

from __future__ import annotations

import numpy as np

from jaxviz.imaging.curves import draw_curves


def displayed(images: np.ndarray) -> np.ndarray:
    """Images of any depth as something a screen can show.

    A signal, of one row, becomes curves. One channel is grey and three are red, green and
    blue. Anything else is false colour, and the sheet says so: of two channels the first is
    orange and the second blue (equal values give grey); four or more are split, in order,
    into three groups of nearly equal size, whose means are red, green and blue.

    Args:
        images: uint8 [unit, height, width, depth].

    Returns:
        uint8 [unit, height, width] if the depth is 1, else [unit, height, width, 3]; a signal's
            size is `LayerPlan.tile_size`.

    Example:
        >>> displayed(np.full((1, 2, 1, 5), [10, 20, 30, 50, 70], np.uint8))[0, 0]
        array([[15, 40, 70]], dtype=uint8)
    """
    depth = images.shape[-1]
    if images.shape[1] == 1:
        return draw_curves(images)
    if depth == 1:
        return images[..., 0]
    if depth == 3:
        return images
    if depth == 2:
        groups = [images[..., :1], images, images[..., 1:]]
    else:
        groups = np.array_split(images, 3, axis=-1)
    means = [group.mean(-1, dtype=np.float32) for group in groups]
    return np.rint(np.stack(means, axis=-1)).astype(np.uint8)
