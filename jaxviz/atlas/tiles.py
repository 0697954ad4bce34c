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
from jaxviz.atlas.manifest import LayerPlan, Strips
from jaxviz.imaging.screen import displayed

TILES_FOLDER = "tiles"
_MOST_TILES = 32
# JPEG ends at 65535 pixels, and browsers refuse or reduce images well before.
_LONGEST_STRIP = 16000
# The blocks of a JPEG would show where small images are enlarged.
_LARGEST_EXACT = 48
_QUALITY = 92


def strips_of(plan: LayerPlan) -> Strips:
    """How the tiles of a layer are packed; the last strip may hold fewer.

    Example:
        >>> strips_of(LayerPlan(name="a", channels=range(64), height=128, width=128, depth=3))
        Strips(tiles=32, suffix='jpg')
    """
    height, width = plan.tile_size
    exact = max(height, width) <= _LARGEST_EXACT
    return Strips(
        tiles=max(1, min(_MOST_TILES, _LONGEST_STRIP // height)),
        suffix="png" if exact else "jpg",
    )


def write_strips(
    atlas: Path, plan: LayerPlan, read_images: Callable[[range], np.ndarray]
) -> Strips:
    """Write the strips of a layer, `tiles/KEY/0.jpg` and so on.

    Args:
        atlas: The atlas's folder.
        plan: The layer.
        read_images: Gives the images of a range of units, uint8
            [unit, height, width, depth].

    Returns:
        How they are packed, for the manifest: an atlas may be continued by a version of
        jaxviz that packs otherwise.

    Raises:
        OSError: As the file system gives it.
    """
    folder = atlas / TILES_FOLDER / plan.key
    folder.mkdir(parents=True, exist_ok=True)
    strips = strips_of(plan)
    for index, start in enumerate(range(0, plan.units, strips.tiles)):
        pictures = displayed(read_images(range(start, min(start + strips.tiles, plan.units))))
        strip = Image.fromarray(np.concatenate(pictures))
        content = io.BytesIO()
        if strips.suffix == "png":
            strip.save(content, "PNG")
        else:
            strip.save(content, "JPEG", quality=_QUALITY, subsampling=0)
        write_whole(folder / f"{index}.{strips.suffix}", content.getvalue())
    return strips
