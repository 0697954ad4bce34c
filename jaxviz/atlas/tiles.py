"""The pictures of the page: every unit's image, several to a file, without labels.

Strips of tiles one below the other, so that a browser fetches and decodes a few files
instead of a thousand, and only those in view. Larger tiles are JPEG with full colour
resolution, at about a quarter of the size; the exact pixels are in the store and, where
it is not reduced, on the sheet.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from jaxviz.atlas.files import write_whole
from jaxviz.atlas.manifest import LayerPlan
from jaxviz.atlas.sheet import displayed

TILES_FOLDER = "tiles"
_MOST_TILES = 32
# JPEG ends at 65535 pixels, and browsers refuse or reduce images well before.
_LONGEST_STRIP = 16000
# The blocks of a JPEG would show where small images are enlarged.
_LARGEST_EXACT = 48
_QUALITY = 92


def per_strip(plan: LayerPlan) -> int:
    """How many tiles a strip of this layer holds; the last may hold fewer."""
    return max(1, min(_MOST_TILES, _LONGEST_STRIP // plan.height))


def suffix(plan: LayerPlan) -> str:
    """`png` where tiles are small, else `jpg`."""
    return "png" if max(plan.height, plan.width) <= _LARGEST_EXACT else "jpg"


def write_strips(atlas: Path, plan: LayerPlan, read_images: Callable[[range], np.ndarray]) -> None:
    """Write the strips of a layer, `tiles/KEY/0.jpg` and so on.

    Args:
        atlas: The atlas's folder.
        plan: The layer.
        read_images: Gives the images of a range of units, uint8
            [unit, height, width, depth].

    Raises:
        OSError: As the file system gives it.
    """
    folder = atlas / TILES_FOLDER / plan.key
    folder.mkdir(parents=True, exist_ok=True)
    count = per_strip(plan)
    for index, start in enumerate(range(0, plan.units, count)):
        pictures = displayed(read_images(range(start, min(start + count, plan.units))))
        strip = Image.fromarray(np.concatenate(pictures))
        content = io.BytesIO()
        if suffix(plan) == "png":
            strip.save(content, "PNG")
        else:
            strip.save(content, "JPEG", quality=_QUALITY, subsampling=0)
        write_whole(folder / f"{index}.{suffix(plan)}", content.getvalue())
