"""Makes or continues an atlas: one writer a folder, each chunk whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jaxviz.atlas.columns import COLUMNS, IMAGE, STATUS, VALUES, UnitStatus
from jaxviz.atlas.files import PARTIAL, RESUME_HINT, explained, write_whole
from jaxviz.atlas.identity import check_same
from jaxviz.atlas.lock import FolderLock
from jaxviz.atlas.manifest import (
    MANIFEST_FILE,
    LayerPlan,
    LayerRecord,
    Manifest,
    RunRecord,
    as_json,
    load_manifest,
    new_manifest,
    now,
    save_manifest,
)
from jaxviz.atlas.page import PAGE_FILE, render_page
from jaxviz.atlas.sheet import draw_sheet
from jaxviz.atlas.store import LAYERS_FOLDER, LayerStore, make_group
from jaxviz.atlas.summary import reasons, spreads
from jaxviz.atlas.tiles import TILES_FOLDER, write_strips
from jaxviz.errors import AtlasError, LayerError, nearest
from jaxviz.runtime.execution import Execution

LOCK_FILE = ".lock"
SHEETS_FOLDER = "sheets"
# Pictures of noise and texture hardly get smaller beyond it, only slower.
_PNG_LEVEL = 3
# What a run that was killed before it wrote its first manifest can leave behind.
_BEFORE_MANIFEST = {LOCK_FILE, MANIFEST_FILE + PARTIAL}
_FINAL = np.array([status.value for status in UnitStatus if status.final], np.uint8)


class _Layer:
    """A layer while it is written: its place in the manifest, its store, its numbers."""

    def __init__(self, atlas: Path, entry: LayerRecord) -> None:
        self.entry = entry
        self.plan = entry.plan
        self.store = LayerStore(atlas, entry.plan)
        self.store.create()
        self.values = {column.name: self.store.read(column) for column in (*VALUES, STATUS)}

    @property
    def status(self) -> np.ndarray:
        return self.values[STATUS.name]

    def count(self) -> None:
        counted = {s.label: int(np.count_nonzero(self.status == s)) for s in UnitStatus}
        self.entry.counts = counted
        self.entry.measures, self.entry.reasons = spreads(self.values), reasons(self.values)

    def read_images(self, units: range) -> np.ndarray:
        return self.store.read(IMAGE, units)


class AtlasWriter:
    """Creates an atlas folder, or continues one of the same identity.

    The order of the files makes every moment safe to be killed at: the manifest comes
    first and says what the atlas will hold; all that follows from it is made if it is
    missing; a chunk's `status` is written after its other columns are on disk.

    Args:
        path: The atlas's folder; made, with its parents, if it does not exist.
        identity: What makes it this atlas: model, recipe, seed. JSON values.
        record: On what it runs: software, device kind. JSON values; kept per run.
        layers: What it holds. To continue, the same layers have to be asked for, but the
            chunks and compute settings of the first run are kept.
        title: Its name, for people; by default the folder's without its suffix.

    Raises:
        AtlasMismatchError: If the folder holds an atlas of something else.
        AtlasLockedError: If another run is working on the folder.
        AtlasError: If the folder is something else, damaged, or cannot be written.

    Example:
        >>> import tempfile
        >>> plan = LayerPlan(name="conv1", channels=(0, 1), height=4, width=4, depth=1)
        >>> folder = tempfile.TemporaryDirectory()
        >>> atlas = Path(folder.name) / "a.atlas"
        >>> with AtlasWriter(atlas, identity={"seed": 0}, record={}, layers=[plan]) as writer:
        ...     for units in writer.pending("conv1"):
        ...         writer.write(
        ...             "conv1",
        ...             units,
        ...             images=np.zeros((2, 4, 4, 1), np.uint8),
        ...             score=[2.5, 3.5],
        ...             initial=[0.5, 0.25],
        ...             status=[UnitStatus.DONE, UnitStatus.DEAD],
        ...         )
        ...     writer.finish("conv1", seconds=1.0)
        >>> from jaxviz.atlas import open_atlas
        >>> open_atlas(atlas)["conv1"].scores
        array([2.5, 3.5], dtype=float32)
        >>> folder.cleanup()
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        identity: Mapping[str, Any],
        record: Mapping[str, Any],
        layers: Sequence[LayerPlan],
        title: str = "",
    ) -> None:
        self.path = Path(path)
        self._layers: dict[str, _Layer] = {}
        # of the manifest: one thread may draw a layer while another writes the next
        self._changing = RLock()
        self._run = RunRecord(started=now(), record=as_json(record))
        asked = new_manifest(title or self.path.resolve().stem, identity, layers)
        self._existing(asked)  # a refusal must not touch the folder, not even with a lock
        with explained("make", self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(self.path / LOCK_FILE, self.path)
        try:
            # Looked at again: until now another run may have been at work.
            self.manifest = self._existing(asked) or asked
            self._lock.sign()
            self._save()
            make_group(self.path, {})
            make_group(self.path / LAYERS_FOLDER, {})
            self._layers = {
                entry.plan.name: _Layer(self.path, entry) for entry in self.manifest.layers
            }
            self._save()
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> AtlasWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            # An error on its way says more than what it makes impossible here.
            with contextlib.suppress(AtlasError) if error else contextlib.nullcontext():
                self._save()
        finally:
            self._lock.release()

    @property
    def layers(self) -> tuple[LayerPlan, ...]:
        """The layers as stored: on resume with the first run's chunks and settings."""
        return tuple(entry.plan for entry in self.manifest.layers)

    def pending(self, layer: str) -> list[range]:
        """The chunks of a layer that are not committed yet, as ranges of units."""
        state = self._layer(layer)
        return [
            units
            for units in state.plan.chunks()
            if not np.isin(state.status[units.start : units.stop], _FINAL).all()
        ]

    def write(
        self,
        layer: str,
        units: range,
        *,
        images: ArrayLike,
        status: ArrayLike,
        **values: ArrayLike,
    ) -> None:
        """Commit one chunk, whole or not at all.

        Args:
            layer: The layer's name.
            units: A chunk as `pending` gives it.
            images: uint8 [unit, height, width, depth], as shown.
            status: A final `UnitStatus` per unit.
            values: A number per unit for every column of `columns.VALUES`, by name:
                `score` and `initial`; the others may be left out.

        Raises:
            AtlasError: If an array does not fit, the disk is full or cannot be written;
                the units are then still pending.
        """
        state = self._layer(layer)
        columns = _checked(state.plan, units, {IMAGE.name: images, STATUS.name: status, **values})
        state.store.commit(units, columns)
        with self._changing:
            for name, array in state.values.items():
                array[units.start : units.stop] = columns[name]
            if self._run not in self.manifest.runs:
                self.manifest.runs.append(self._run)

    def record_compute(self, layer: str, compute: Execution) -> None:
        """Keep how a layer's units are computed from now on, for whoever continues it.

        Args:
            layer: The layer's name.
            compute: Given back on resume as `LayerPlan.compute`.
        """
        state = self._layer(layer)
        if state.plan.compute == compute:
            return
        with self._changing:
            state.plan = state.entry.plan = state.plan.model_copy(update={"compute": compute})
            self._save()

    def finish(self, layer: str, *, seconds: float = 0.0) -> None:
        """Draw a layer's sheet and the page, and bring the manifest up to date.

        A layer with pending units can be finished too: they are shown as empty frames.

        Args:
            layer: The layer's name.
            seconds: Time spent on it in this run; added to that of earlier runs.
        """
        state = self._layer(layer)
        entry = state.entry
        final = int(np.isin(state.status, _FINAL).sum())
        sheet = self.path / SHEETS_FOLDER / f"{entry.key}.png"
        drawn = (sheet, self.path / TILES_FOLDER / entry.key, self.path / PAGE_FILE)
        # Final units never change, so their number tells whether the pictures are up to date.
        outdated = entry.drawn != final or not all(path.exists() for path in drawn)
        if outdated:
            self._draw(state, sheet)
        with self._changing:
            entry.seconds += seconds
            if outdated:
                entry.drawn = final
                self._write_page()
            self._save()

    def _draw(self, layer: _Layer, sheet: Path) -> None:
        def write_sheet() -> None:
            content = io.BytesIO()
            picture = draw_sheet(layer.plan, layer.read_images, layer.status)
            picture.save(content, "PNG", compress_level=_PNG_LEVEL)
            sheet.parent.mkdir(exist_ok=True)
            write_whole(sheet, content.getvalue())

        name = layer.plan.name
        problem = explained(f"write the sheet of layer {name!r} in", self.path, hint=RESUME_HINT)
        with problem, ThreadPoolExecutor(1) as beside:
            written = beside.submit(write_sheet)
            layer.entry.strips = write_strips(self.path, layer.plan, layer.read_images)
            written.result()

    def _write_page(self) -> None:
        self.manifest.updated = now()
        values = {name: layer.values for name, layer in self._layers.items()}
        page = render_page(self.manifest, values)
        with explained("write the page of", self.path, hint=RESUME_HINT):
            write_whole(self.path / PAGE_FILE, page.encode())

    def _layer(self, name: str) -> _Layer:
        if name not in self._layers:
            raise LayerError(
                f"{str(self.path)!r} holds no layer {name!r}", hint=nearest(name, self._layers)
            )
        return self._layers[name]

    def _existing(self, asked: Manifest) -> Manifest | None:
        """The folder's manifest, if it has one that says what is asked for."""
        with explained("read", self.path):
            present = set(os.listdir(self.path)) if self.path.exists() else set()
        if MANIFEST_FILE in present:
            found = load_manifest(self.path)
            check_same(found, asked, self.path)
            return found
        if strangers := sorted(present - _BEFORE_MANIFEST):
            raise AtlasError(
                f"will not write into {str(self.path)!r}: it is not an atlas "
                f"(no {MANIFEST_FILE}), and not empty",
                details=[*strangers[:5], *(["…"] if len(strangers) > 5 else [])],
                hint="Choose a new or an empty folder.",
            )
        return None

    def _save(self) -> None:
        with self._changing:
            for layer in self._layers.values():
                layer.count()
            self.manifest.updated = now()
            with explained("write the manifest of", self.path, hint=RESUME_HINT):
                save_manifest(self.manifest, self.path)


def _checked(
    plan: LayerPlan, units: range, given: Mapping[str, ArrayLike]
) -> dict[str, np.ndarray]:
    """The columns of a chunk as arrays of their types; every misfit is reported."""
    known = {column.name: column for column in COLUMNS}
    problems = [f"{name}: no such column" for name in given if name not in known]
    if units not in plan.chunks():
        problems.append(f"units {units.start}:{units.stop} are not a chunk of {plan.chunk}")
    arrays = {}
    for column in COLUMNS:
        expected = (len(units), *(getattr(plan, axis) for axis in column.axes))
        array = np.asarray(given[column.name]) if column.name in given else None
        if array is None and column.optional:
            fill = np.nan if column.fill == "NaN" else column.fill
            array = np.full(expected, fill, column.dtype)
        if array is None:
            problems.append(f"{column.name}: missing, expected shape {expected}")
        elif array.shape != expected:
            problems.append(f"{column.name}: has shape {array.shape}, expected {expected}")
        elif column is IMAGE and array.dtype != column.dtype:
            problems.append(f"{column.name}: has type {array.dtype}, expected {column.dtype}")
        elif column is STATUS and not np.isin(array, _FINAL).all():
            problems.append(f"{column.name}: {np.unique(array).tolist()} are not all final")
        else:
            arrays[column.name] = array.astype(column.dtype)
    if problems:
        raise AtlasError(f"cannot write units of layer {plan.name!r}", details=problems)
    return arrays
