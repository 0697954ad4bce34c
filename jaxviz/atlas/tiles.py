"""The pictures of the page: every unit's tile, several to a file, without labels.

A file is a strip of tiles one below the other. The browser therefore loads a few files instead
of a thousand, and only those in view. Larger tiles are JPEG with full colour resolution, at
about a quarter of the store's size. The store holds the exact pixels.
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
# JPEG allows 65535 pixels, but browsers refuse or reduce much smaller images.
_LONGEST_STRIP = 16000
#: Largest side of tiles that are PNG. The blocks of a JPEG would show in enlarged small images.
LARGEST_EXACT = 48
_QUALITY = 92


def strips_of(plan: LayerPlan) -> Strips:
    """How the tiles of a layer are packed. The last strip may hold fewer tiles.

    Example:
        >>> strips_of(LayerPlan(name="a", channels=range(64), height=128, width=128, depth=3))
        Strips(tiles=32, suffix='jpg')
    """
    height, width = plan.tile_size
    exact = max(height, width) <= LARGEST_EXACT
    return Strips(
        tiles=max(1, min(_MOST_TILES, _LONGEST_STRIP // height)),
        suffix="png" if exact else "jpg",
    )


def write_strips(
    atlas: Path, plan: LayerPlan, read_images: Callable[[range], np.ndarray]
) -> Strips:
    """Write the strips of a layer: `tiles/KEY/0.jpg` and so on.

    Args:
        atlas: The atlas's folder.
        plan: The layer.
        read_images: Returns the pictures of a range of units, uint8
            [unit, height, width, depth].

    Returns:
        How the tiles are packed. The manifest records it, because another version of jaxviz may
        pack otherwise and continue the atlas.

    Raises:
        OSError: If the file system refuses.
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
