"""Pictures of any number of channels, as a screen can show them."""

from __future__ import annotations

import numpy as np

from jaxviz.imaging.curves import draw_curves


def displayed(images: np.ndarray) -> np.ndarray:
    """Images of any number of channels, as a screen can show them.

    A signal, of one row, becomes curves. One channel is grey; three are red, green and blue.
    Other numbers become false colour, and the sheet says so. Of two channels the first is
    orange and the second blue, so that equal values give grey. Four or more are split, in
    order, into three groups of nearly equal size, whose means are red, green and blue.

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
    false_colour: np.ndarray = np.rint(np.stack(means, axis=-1))
    return false_colour.astype(np.uint8)
