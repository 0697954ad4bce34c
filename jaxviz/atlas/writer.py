"""Makes or continues an atlas: one writer per folder, each piece written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import RLock
from types import TracebackType

from numpy.typing import ArrayLike

from jaxviz.atlas.columns import IMAGE, STATUS
from jaxviz.atlas.files import RESUME_HINT, explained, write_whole
from jaxviz.atlas.identity import matching_manifest
from jaxviz.atlas.layer import WrittenLayer
from jaxviz.atlas.lock import LOCK_FILE, FolderLock
from jaxviz.atlas.manifest import LayerPlan, RunRecord, as_json, new_manifest, now
from jaxviz.atlas.manifest_file import save_manifest
from jaxviz.atlas.page import PAGE_FILE, render_page
from jaxviz.atlas.piece import checked_columns
from jaxviz.atlas.store import LAYERS_FOLDER, make_group
from jaxviz.errors import AtlasError, LayerError, nearest
from jaxviz.runtime.execution import Execution


class AtlasWriter:
    """Makes an atlas folder, or continues one with the same identity.

    The order of writing makes a kill safe at any moment. The manifest is written first and
    records the contents; anything missing that follows from it is made again. A piece's `status`
    is written after its other columns are on disk.

    Args:
        path: The atlas's folder. It is made, with its parents, if it does not exist.
        identity: Model, recipe and seed, as JSON values. To continue, they must be equal.
        record: Software and kind of device, as JSON values, kept for each run.
        layers: The contents of the atlas. To continue, the layers must be equal, but the pieces
            and compute settings of the first run are kept.
        title: The atlas's name for people; by default the folder's name without its suffix.

    Raises:
        AtlasMismatchError: If the folder holds a different atlas.
        AtlasLockedError: If another run is working on the folder.
        AtlasError: If the folder is not an atlas, is damaged, or cannot be written.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from jaxviz.atlas import UnitStatus, open_atlas
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
        >>> open_atlas(atlas)["conv1"].scores
        array([2.5, 3.5], dtype=float32)
        >>> folder.cleanup()
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        identity: Mapping[str, object],
        record: Mapping[str, object],
        layers: Sequence[LayerPlan],
        title: str = "",
    ) -> None:
        self.path = Path(path)
        self._layers: dict[str, WrittenLayer] = {}
        # Guards the manifest: one thread may draw a layer while another writes the next.
        self._changing = RLock()
        self._run = RunRecord(started=now(), record=as_json(record))
        asked = new_manifest(title or self.path.resolve().stem, identity, layers)
        # Checked before anything is written, because a refusal must not leave even a lock file.
        matching_manifest(self.path, asked)
        with explained("make", self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(self.path / LOCK_FILE, self.path)
        try:
            # Read again, because another run may have been writing until the lock was free.
            self.manifest = matching_manifest(self.path, asked) or asked
            self._lock.sign()
            self._save()
            make_group(self.path, {})
            make_group(self.path / LAYERS_FOLDER, {})
            self._layers = {
                entry.plan.name: WrittenLayer(self.path, entry) for entry in self.manifest.layers
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
            # A failure to save must not hide the error that ended the run.
            with contextlib.suppress(AtlasError) if error else contextlib.nullcontext():
                self._save()
        finally:
            self._lock.release()

    @property
    def layers(self) -> tuple[LayerPlan, ...]:
        """The stored layers. A continued atlas keeps the first run's pieces and settings."""
        return tuple(entry.plan for entry in self.manifest.layers)

    def pending(self, layer: str) -> list[range]:
        """The pieces of a layer that are not committed yet, as ranges of units."""
        return self._layer(layer).pending()

    def write(
        self,
        layer: str,
        units: range,
        *,
        images: ArrayLike,
        status: ArrayLike,
        **values: ArrayLike,
    ) -> None:
        """Commit one piece, whole or not at all.

        Args:
            layer: The layer's name.
            units: A piece from `pending`.
            images: The pictures as shown, uint8 [unit, height, width, depth].
            status: Final `UnitStatus` codes, [unit].
            values: One array [unit] for each column of `columns.VALUES`, by name. Only `score`
                and `initial` are required.

        Raises:
            AtlasError: If an array does not fit, or the disk is full or cannot be written. The
                units then stay pending.
        """
        written = self._layer(layer)
        given = {IMAGE.name: images, STATUS.name: status, **values}
        columns = checked_columns(written.plan, units, given)
        written.store.commit(units, columns)
        with self._changing:
            written.keep(units, columns)
            if self._run not in self.manifest.runs:
                self.manifest.runs.append(self._run)

    def record_compute(self, layer: str, compute: Execution) -> None:
        """Record how a layer's units are computed from now on.

        Args:
            layer: The layer's name.
            compute: The value that a continued run finds in `LayerPlan.compute`.

        Raises:
            AtlasError: If the manifest cannot be written.
        """
        entry = self._layer(layer).entry
        if entry.plan.compute == compute:
            return
        with self._changing:
            entry.plan = entry.plan.model_copy(update={"compute": compute})
            self._save()

    def finish(self, layer: str, *, seconds: float = 0.0) -> None:
        """Draw a layer's sheet and the page, and bring the manifest up to date.

        A layer with pending units can be finished too. Its pending units are empty frames.

        Args:
            layer: The layer's name.
            seconds: Time that this run spent on the layer. It is added to the time of earlier
                runs.

        Raises:
            AtlasError: If the disk is full or cannot be written.
        """
        written = self._layer(layer)
        final = written.final
        outdated = not (written.is_drawn() and (self.path / PAGE_FILE).exists())
        if outdated:
            written.draw()
        with self._changing:
            written.entry.seconds += seconds
            if outdated:
                written.entry.drawn = final
                self._write_page()
            self._save()

    def _write_page(self) -> None:
        self.manifest.updated = now()
        values = {name: layer.values for name, layer in self._layers.items()}
        page = render_page(self.manifest, values)
        with explained("write the page of", self.path, hint=RESUME_HINT):
            write_whole(self.path / PAGE_FILE, page.encode())

    def _layer(self, name: str) -> WrittenLayer:
        if name not in self._layers:
            raise LayerError(
                f"{str(self.path)!r} holds no layer {name!r}", hint=nearest(name, self._layers)
            )
        return self._layers[name]

    def _save(self) -> None:
        with self._changing:
            for layer in self._layers.values():
                layer.count()
            self.manifest.updated = now()
            with explained("write the manifest of", self.path, hint=RESUME_HINT):
                save_manifest(self.manifest, self.path)
