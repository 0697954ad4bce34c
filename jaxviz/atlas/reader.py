"""An atlas on disk, for programs to read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from jaxviz.atlas.columns import IMAGE, STATUS, VALUES
from jaxviz.atlas.manifest import MANIFEST_FILE, LayerPlan, load_manifest
from jaxviz.atlas.store import LayerStore
from jaxviz.errors import AtlasError, LayerError, nearest

_BY_NAME = {column.name: column for column in VALUES}


class AtlasLayer:
    """One layer of an atlas. Arrays are read from disk each time they are asked for."""

    def __init__(self, atlas: Path, plan: LayerPlan) -> None:
        self.plan = plan
        self._store = LayerStore(atlas, plan)

    def __repr__(self) -> str:
        p = self.plan
        return f"AtlasLayer({p.name!r}, {p.units} units of {p.height}x{p.width}x{p.depth})"

    @property
    def name(self) -> str:
        """The layer's name in the model."""
        return self.plan.name

    @property
    def channels(self) -> np.ndarray:
        """The channel of each unit, int64 [unit]."""
        return np.array(self.plan.channels, np.int64)

    @property
    def images(self) -> np.ndarray:
        """Every unit's image as shown, uint8 [unit, height, width, depth]."""
        return self.read_images()

    def read_images(self, units: range | None = None) -> np.ndarray:
        """The images of a range of units; of all of them by default."""
        return self._store.read(IMAGE, units)

    @property
    def scores(self) -> np.ndarray:
        """The objective on the final image, float32 [unit]; NaN where pending."""
        return self.values("score")

    @property
    def initial_scores(self) -> np.ndarray:
        """The objective on the starting image, float32 [unit]; NaN where pending."""
        return self.values("initial")

    @property
    def status(self) -> np.ndarray:
        """`UnitStatus` codes, uint8 [unit]."""
        return self._store.read(STATUS)

    def values(self, column: str) -> np.ndarray:
        """A column of `columns.VALUES` by name, [unit]."""
        return self._store.read(_BY_NAME[column])


class Atlas(Mapping[str, AtlasLayer]):
    """An atlas on disk, its layers by name; reading needs no lock, also while it is being made.

    Attributes:
        path: Its folder.
        manifest: What it holds and how it was made.
        layers: The names of its layers, in order.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not (self.path / MANIFEST_FILE).is_file():
            raise AtlasError(
                f"{str(self.path)!r} is not an atlas: it has no {MANIFEST_FILE}"
                if self.path.exists()
                else f"no such atlas: {str(self.path)!r}"
            )
        self.manifest = load_manifest(self.path)
        plans = [entry.plan for entry in self.manifest.layers]
        self._by_name = {plan.name: AtlasLayer(self.path, plan) for plan in plans}
        self.layers = tuple(self._by_name)

    def __repr__(self) -> str:
        return f"Atlas({str(self.path)!r}, {len(self.layers)} layers)"

    def __getitem__(self, layer: str) -> AtlasLayer:
        """A layer by name.

        Raises:
            LayerError: If the atlas has none of that name.
        """
        if layer not in self._by_name:
            raise LayerError(
                f"{str(self.path)!r} holds no layer {layer!r}", hint=nearest(layer, self._by_name)
            )
        return self._by_name[layer]

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)


def open_atlas(path: str | os.PathLike[str]) -> Atlas:
    """Open an atlas folder for reading.

    Args:
        path: The folder, finished or not.

    Raises:
        AtlasError: If it is missing, not an atlas, or damaged.
    """
    return Atlas(path)
