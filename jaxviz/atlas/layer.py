"""A layer of an atlas while it is written."""

from __future__ import annotations

import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from jaxviz.atlas.columns import IMAGE, STATUS, VALUES
from jaxviz.atlas.files import RESUME_HINT, explained, write_whole
from jaxviz.atlas.manifest import LayerPlan, LayerRecord
from jaxviz.atlas.piece import is_final
from jaxviz.atlas.sheet import draw_sheet
from jaxviz.atlas.store import LayerStore
from jaxviz.atlas.summary import reasons, spreads
from jaxviz.atlas.tiles import TILES_FOLDER, write_strips
from jaxviz.status import UnitStatus

SHEETS_FOLDER = "sheets"
# Pictures of noise and texture hardly shrink beyond this level; they only take longer.
_PNG_LEVEL = 3


class WrittenLayer:
    """A layer's record in the manifest, its arrays on disk, and its values in memory.

    Args:
        atlas: The atlas's folder.
        entry: The layer's record in the manifest, which is kept up to date.

    Attributes:
        store: The arrays on disk. Missing ones are made.
        values: The status and every column of `VALUES`, [unit], by name.

    Raises:
        AtlasError: If the folder cannot be written, or an array is damaged.
    """

    def __init__(self, atlas: Path, entry: LayerRecord) -> None:
        self.entry = entry
        self.store = LayerStore(atlas, entry.plan)
        self.store.create()
        self.values = {column.name: self.store.read(column) for column in (*VALUES, STATUS)}
        self._atlas = atlas
        self._sheet = atlas / SHEETS_FOLDER / f"{entry.key}.png"
        self._tiles = atlas / TILES_FOLDER / entry.key

    @property
    def plan(self) -> LayerPlan:
        """The contents of the layer, and how its units are computed."""
        return self.entry.plan

    @property
    def status(self) -> np.ndarray:
        """`UnitStatus` codes, uint8 [unit]."""
        return self.values[STATUS.name]

    @property
    def final(self) -> int:
        """Number of units whose status is final."""
        return int(is_final(self.status).sum())

    def pending(self) -> list[range]:
        """The pieces that are not committed yet."""
        return [
            units
            for units in self.plan.pieces()
            if not is_final(self.status[units.start : units.stop]).all()
        ]

    def keep(self, units: range, columns: Mapping[str, np.ndarray]) -> None:
        """Take over the values of a piece that was written to disk."""
        for name, array in self.values.items():
            array[units.start : units.stop] = columns[name]

    def count(self) -> None:
        """Bring the record's counts, measures and reasons up to date."""
        counted = {s.label: int(np.count_nonzero(self.status == s)) for s in UnitStatus}
        self.entry.counts = counted
        self.entry.measures, self.entry.reasons = spreads(self.values), reasons(self.values)

    def is_drawn(self) -> bool:
        """Whether sheet and tiles are on disk and show every final unit."""
        # Final units never change, so their number tells whether the pictures are up to date.
        return self.entry.drawn == self.final and self._sheet.exists() and self._tiles.exists()

    def draw(self) -> None:
        """Write the sheet and the tiles.

        Raises:
            AtlasError: If the disk is full or cannot be written.
        """
        name = self.plan.name
        problem = explained(f"write the sheet of layer {name!r} in", self._atlas, hint=RESUME_HINT)
        with problem, ThreadPoolExecutor(1) as beside:
            written = beside.submit(self._write_sheet)
            self.entry.strips = write_strips(self._atlas, self.plan, self._read_images)
            written.result()

    def _write_sheet(self) -> None:
        content = io.BytesIO()
        picture = draw_sheet(self.plan, self._read_images, self.status)
        picture.save(content, "PNG", compress_level=_PNG_LEVEL)
        self._sheet.parent.mkdir(exist_ok=True)
        write_whole(self._sheet, content.getvalue())

    def _read_images(self, units: range) -> np.ndarray:
        return self.store.read(IMAGE, units)
