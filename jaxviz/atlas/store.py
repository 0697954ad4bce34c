"""The arrays of one layer: a Zarr v3 group, written through TensorStore.

Everything about an array follows from the layer's plan, so a missing piece of a
half-made atlas is simply made again, and a piece that says something else is damage.
TensorStore writes each chunk to a temporary file, syncs it and renames it, so a chunk
is there whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxviz.atlas.columns import COLUMNS, STATUS, Column
from jaxviz.atlas.files import RESUME_HINT, explained, write_whole
from jaxviz.atlas.manifest import LayerPlan
from jaxviz.errors import AtlasError

if TYPE_CHECKING:
    import tensorstore

LAYERS_FOLDER = "layers"
METADATA_FILE = "zarr.json"

_DAMAGED_HINT = (
    "If a chunk is damaged, delete its file and that of the same number under 'status', "
    "and run the same command again: only its units are made anew."
)


class LayerStore:
    """The columns of one layer, on disk.

    Args:
        atlas: The atlas's folder.
        plan: What the layer holds.
    """

    def __init__(self, atlas: Path, plan: LayerPlan) -> None:
        self.plan = plan
        self.folder = atlas / LAYERS_FOLDER / plan.key
        self._arrays: dict[str, tensorstore.TensorStore] = {}

    def create(self) -> None:
        """Make what is not there yet: the group and its arrays.

        Raises:
            AtlasError: If the folder cannot be written, or something in it is damaged.
        """
        attributes = {"layer": self.plan.name, "channels": list(self.plan.channels)}
        make_group(self.folder, attributes)
        for column in COLUMNS:
            self._array(column, create=True)

    def read(self, column: Column, units: range | None = None) -> np.ndarray:
        """The values of a column, of all units or of a range of them.

        Raises:
            AtlasError: If the array is missing or damaged.
        """
        units = range(self.plan.units) if units is None else units
        array = self._array(column)
        with explained(f"read the array {column.name!r} in", self.folder, hint=_DAMAGED_HINT):
            return np.asarray(array[units.start : units.stop].read().result())

    def commit(self, units: range, values: Mapping[str, np.ndarray]) -> None:
        """Write one chunk of every column and, once that is on disk, its status.

        Args:
            units: The units of one chunk of the plan.
            values: An array per column, of the column's dtype and shape.

        Raises:
            AtlasError: If the disk is full or cannot be written; the units then stay pending.
        """
        with explained("write to", self.folder, hint=RESUME_HINT):
            writes = [
                self._array(column)[units.start : units.stop].write(values[column.name])
                for column in COLUMNS
                if column is not STATUS
            ]
            for write in writes:
                write.result()
            status = self._array(STATUS)
            status[units.start : units.stop].write(values[STATUS.name]).result()

    def _array(self, column: Column, *, create: bool = False) -> tensorstore.TensorStore:
        if column.name not in self._arrays:
            import tensorstore

            folder = self.folder / column.name
            metadata = _shape(column, self.plan)
            missing = create and not (folder / METADATA_FILE).exists()
            if missing:
                metadata |= _storage(column)
            spec = {
                "driver": "zarr3",
                "kvstore": {"driver": "file", "path": f"{folder.resolve().as_posix()}/"},
                "metadata": metadata,
            }
            with explained(f"open the array {column.name!r} in", self.folder):
                self._arrays[column.name] = tensorstore.open(
                    spec, open=not missing, create=missing
                ).result()
        return self._arrays[column.name]


def make_group(folder: Path, attributes: Mapping[str, Any]) -> None:
    """Make a Zarr group of a folder, or check that it is one."""
    file = folder / METADATA_FILE
    group = {"zarr_format": 3, "node_type": "group"}
    with explained("write", file, hint=RESUME_HINT):
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(file, json.dumps({**group, "attributes": dict(attributes)}).encode())
        content = file.read_bytes()
    try:
        found = json.loads(content)
        sound = isinstance(found, dict) and group.items() <= found.items()
    except (ValueError, RecursionError):
        sound = False
    if not sound:
        raise AtlasError(
            f"{str(file)!r} is damaged: it does not describe a Zarr v3 group",
            hint="Delete that file and run the same command again: it is made anew.",
        )


def _shape(column: Column, plan: LayerPlan) -> dict[str, Any]:
    """What an array must be, whoever made it."""
    trailing = [getattr(plan, axis) for axis in column.axes]
    return {
        "shape": [plan.units, *trailing],
        "data_type": column.dtype,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [plan.chunk, *trailing]},
        },
        "fill_value": column.fill,
        "dimension_names": ["unit", *column.axes],
    }


def _storage(column: Column) -> dict[str, Any]:
    """How a new array is packed. The checksum finds a damaged chunk when it is read."""
    layout: dict[str, Any] = {"name": "bytes"}
    if column.dtype != "uint8":
        layout["configuration"] = {"endian": "little"}
    zstd = {"name": "zstd", "configuration": {"level": 3}}
    return {"codecs": [layout, zstd, {"name": "crc32c"}]}
