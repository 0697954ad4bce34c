"""The atlas: a folder with the picture, scores and status of every unit.

`AtlasWriter` makes or continues one, `open_atlas` reads one. Nothing here knows how a
picture was made.
"""

from __future__ import annotations

from jaxviz.atlas.columns import UnitStatus
from jaxviz.atlas.manifest import LayerPlan, Manifest, manifest_schema
from jaxviz.atlas.reader import Atlas, AtlasLayer, open_atlas
from jaxviz.atlas.writer import AtlasWriter

__all__ = [
    "Atlas",
    "AtlasLayer",
    "AtlasWriter",
    "LayerPlan",
    "Manifest",
    "UnitStatus",
    "manifest_schema",
    "open_atlas",
]
