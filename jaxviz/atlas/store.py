"""The arrays of one layer: a Zarr v3 group, written through TensorStore.

All array metadata follows from the layer's plan. A missing array of a half-made atlas is
therefore made again, and an array with other metadata counts as damage. TensorStore writes each
chunk to a temporary file, syncs it and renames it, so a chunk is on disk whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import JsonValue

from jaxviz.atlas.columns import COLUMNS, STATUS, Column
from jaxviz.atlas.files import RESUME_HINT, explained, write_whole
from jaxviz.atlas.manifest import LayerPlan
from jaxviz.errors import AtlasError

if TYPE_CHECKING:
    import tensorstore

LAYERS_FOLDER = "layers"
METADATA_FILE = "zarr.json"

_DAMAGED_HINT = (
    "If the file of a chunk is damaged, delete it together with the file of that number under "
    "'status'. The same command then makes those units again, and no others."
)


class LayerStore:
    """The columns of one layer, on disk.

    Args:
        atlas: The atlas's folder.
        plan: The contents of the layer.
    """

    def __init__(self, atlas: Path, plan: LayerPlan) -> None:
        self.plan = plan
        self.folder = atlas / LAYERS_FOLDER / plan.key
        self._arrays: dict[str, tensorstore.TensorStore] = {}

    def create(self) -> None:
        """Make the group and its arrays, if they are missing.

        Raises:
            AtlasError: If the folder cannot be written or holds damaged metadata.
        """
        make_group(self.folder, {"layer": self.plan.name, "channels": list(self.plan.channels)})
        for column in COLUMNS:
            self.open_array(column, create=True)

    def read(self, column: Column, units: range | None = None) -> np.ndarray:
        """The values of a column, for all units or a range of them.

        Raises:
            AtlasError: If the array is missing or damaged.
        """
        units = range(self.plan.units) if units is None else units
        array = self.open_array(column)
        with explained(f"read the array {column.name!r} in", self.folder, hint=_DAMAGED_HINT):
            return np.asarray(array[units.start : units.stop].read().result())

    def commit(self, units: range, values: Mapping[str, np.ndarray]) -> None:
        """Write one piece of every column and, once that is on disk, its status.

        Args:
            units: The units of a piece.
            values: An array for each column, with the column's data type and shape.

        Raises:
            AtlasError: If the disk is full or cannot be written. The units then stay pending.
        """
        with explained("write to", self.folder, hint=RESUME_HINT):
            writes = [
                self.open_array(column)[units.start : units.stop].write(values[column.name])
                for column in COLUMNS
                if column is not STATUS
            ]
            for write in writes:
                write.result()
            status = self.open_array(STATUS)
            status[units.start : units.stop].write(values[STATUS.name]).result()

    def open_array(self, column: Column, *, create: bool = False) -> tensorstore.TensorStore:
        """The array of a column, opened once and then kept.

        Args:
            column: The column.
            create: Whether to make the array if it is missing.

        Raises:
            AtlasError: If the array is missing, damaged, or not the one that was planned.
        """
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


def make_group(folder: Path, attributes: Mapping[str, object]) -> None:
    """Make a folder a Zarr group, or check that it is one.

    Args:
        folder: The group's folder. It is made, with its parents, if it does not exist.
        attributes: JSON values that are stored with a new group.

    Raises:
        AtlasError: If the folder cannot be written, or its metadata is damaged.
    """
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
            hint="Delete the file and run the same command again, which writes a new one.",
        )


def _shape(column: Column, plan: LayerPlan) -> dict[str, JsonValue]:
    """The metadata that an array must have, whoever made it."""
    return {
        "shape": list(plan.shape_of(column, plan.units)),
        "data_type": column.dtype,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": list(plan.shape_of(column, plan.piece_units))},
        },
        "fill_value": column.fill,
        "dimension_names": ["unit", *column.axes],
    }


def _storage(column: Column) -> dict[str, JsonValue]:
    """How a new array is packed. Reading checks the checksum, which finds damaged chunks."""
    layout: dict[str, JsonValue] = {"name": "bytes"}
    if column.dtype != "uint8":
        layout["configuration"] = {"endian": "little"}
    zstd: dict[str, JsonValue] = {"name": "zstd", "configuration": {"level": 3}}
    return {"codecs": [layout, zstd, {"name": "crc32c"}]}
