"""Reads an atlas from disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from jaxviz.atlas.columns import IMAGE, STATUS, VALUES
from jaxviz.atlas.manifest import LayerPlan
from jaxviz.atlas.manifest_file import MANIFEST_FILE, load_manifest
from jaxviz.atlas.store import LayerStore
from jaxviz.errors import AtlasError, LayerError, nearest

_BY_NAME = {column.name: column for column in VALUES}


class AtlasLayer:
    """One layer of an atlas. Every access reads an array from disk.

    Attributes:
        plan: The layer's channels, picture size and other settings.
    """

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
        """The picture of each unit as shown, uint8 [unit, height, width, depth]."""
        return self.read_images()

    def read_images(self, units: range | None = None) -> np.ndarray:
        """The pictures of a range of units, or of all units.

        Args:
            units: Positions in the layer's `channels`.

        Returns:
            uint8 [unit, height, width, depth].
        """
        return self._store.read(IMAGE, units)

    @property
    def scores(self) -> np.ndarray:
        """The objective on the final picture, float32 [unit]; NaN for pending units."""
        return self.values("score")

    @property
    def initial_scores(self) -> np.ndarray:
        """The objective on the starting picture, float32 [unit]; NaN for pending units."""
        return self.values("initial")

    @property
    def status(self) -> np.ndarray:
        """`UnitStatus` codes, uint8 [unit]."""
        return self._store.read(STATUS)

    def values(self, column: str) -> np.ndarray:
        """A number for each unit, [unit].

        Args:
            column: Name of a column, such as `gain` or `quantile`. `jaxviz.atlas.columns.VALUES`
                declares them.

        Raises:
            AtlasError: If there is no such column, or its array is damaged.
        """
        if column not in _BY_NAME:
            raise AtlasError(f"an atlas has no column {column!r}", hint=nearest(column, _BY_NAME))
        return self._store.read(_BY_NAME[column])


class Atlas(Mapping[str, AtlasLayer]):
    """An atlas on disk: a mapping from layer names to layers.

    Reading needs no lock, so an atlas can be read while it is made.

    Attributes:
        path: The atlas's folder.
        manifest: The contents of the atlas and how it was made.
        layers: The names of the layers, in order.
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
            LayerError: If the atlas has no layer of that name.
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
    """Open an atlas for reading.

    Args:
        path: The atlas's folder. The atlas may be unfinished.

    Returns:
        A mapping from layer names to layers.

    Raises:
        AtlasError: If the folder is missing, not an atlas, or damaged.

    Example:
        >>> import tempfile
        >>> from jaxviz.atlas import AtlasWriter
        >>> folder = tempfile.TemporaryDirectory()
        >>> plan = LayerPlan(name="conv1", channels=(0, 1), height=4, width=4, depth=1)
        >>> with AtlasWriter(folder.name, identity={}, record={}, layers=[plan]):
        ...     pass
        >>> open_atlas(folder.name)["conv1"]
        AtlasLayer('conv1', 2 units of 4x4x1)
        >>> folder.cleanup()
    """
    return Atlas(path)
