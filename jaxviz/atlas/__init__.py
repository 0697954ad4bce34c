"""The atlas: a folder with the picture, scores and status of every unit.

`AtlasWriter` makes or continues an atlas, `open_atlas` reads one. Nothing in this package
knows how pictures are made.
"""

from __future__ import annotations

from jaxviz.atlas.manifest import LayerPlan, Manifest, manifest_schema
from jaxviz.atlas.reader import Atlas, AtlasLayer, open_atlas
from jaxviz.atlas.writer import AtlasWriter
from jaxviz.status import UnitStatus

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
