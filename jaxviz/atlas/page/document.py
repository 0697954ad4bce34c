"""The data of the page: one JSON document, which the scripts of this folder read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np
from pydantic import BaseModel, ConfigDict, JsonValue

from jaxviz.atlas.columns import STATUS, VALUES, Column
from jaxviz.atlas.manifest import LayerRecord, Manifest, RunRecord, Strips
from jaxviz.atlas.sheet import MARKED
from jaxviz.status import UnitStatus


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StatusPart(_Part):
    """One status as the page shows it: code, label, colour, and whether pictures are marked."""

    code: int
    label: str
    colour: str
    marked: bool


class ColumnPart(_Part):
    """A column of `VALUES`; its fields are those of `Column`."""

    name: str
    title: str
    meaning: str
    measure: bool
    words: dict[int, str]


class LayerPart(_Part):
    """A layer with the status and the values of its units.

    Attributes:
        name: The layer's name in the model.
        channels: The channel of each unit.
        height: Height of a tile, in pixels.
        width: Width of a tile, in pixels.
        depth: Channels of a picture.
        preset: Name of the preset.
        key: The layer's name, made safe as a file name.
        size: The size of a picture, for people.
        signal: Whether the pictures are curves of signals.
        seconds: Time spent on the layer.
        strips: The files with the tiles; none before they are drawn.
        status: The code of each unit's status.
        values: The number of each unit, by column; none if it is not finite.
    """

    name: str
    channels: tuple[int, ...]
    height: int
    width: int
    depth: int
    preset: str
    key: str
    size: str
    signal: bool
    seconds: float
    strips: Strips | None
    status: list[int]
    values: dict[str, list[float | None]]


class PageDocument(_Part):
    """Everything that the page shows. The first fields are those of the manifest."""

    schema_version: int
    jaxviz_version: str
    title: str
    created: datetime
    updated: datetime
    identity: dict[str, JsonValue]
    runs: list[RunRecord]
    statuses: tuple[StatusPart, ...]
    columns: tuple[ColumnPart, ...]
    layers: list[LayerPart]


def page_document(
    manifest: Manifest, values: Mapping[str, Mapping[str, np.ndarray]]
) -> PageDocument:
    """The page's data.

    Args:
        manifest: The atlas's manifest.
        values: The arrays of `VALUES` and the status, by layer name and column name.
    """
    return PageDocument(
        schema_version=manifest.schema_version,
        jaxviz_version=manifest.jaxviz_version,
        title=manifest.title,
        created=manifest.created,
        updated=manifest.updated,
        identity=manifest.identity,
        runs=manifest.runs,
        statuses=tuple(
            StatusPart(code=s, label=s.label, colour=s.colour, marked=s in MARKED)
            for s in UnitStatus
        ),
        columns=tuple(map(_column, VALUES)),
        layers=[_layer(entry, values[entry.plan.name]) for entry in manifest.layers],
    )


def _column(column: Column) -> ColumnPart:
    return ColumnPart(
        name=column.name,
        title=column.title,
        meaning=column.meaning,
        measure=column.measure,
        words={int(code): word for code, word in column.words.items()},
    )


def _layer(entry: LayerRecord, values: Mapping[str, np.ndarray]) -> LayerPart:
    plan = entry.plan
    height, width = plan.tile_size
    return LayerPart(
        name=plan.name,
        channels=plan.channels,
        height=height,
        width=width,
        depth=plan.depth,
        preset=plan.preset,
        key=entry.key,
        size=plan.size_text,
        signal=plan.height == 1,
        seconds=entry.seconds,
        strips=entry.strips,
        status=values[STATUS.name].tolist(),
        values={column.name: _numbers(values[column.name]) for column in VALUES},
    )


def _numbers(values: np.ndarray) -> list[float | None]:
    # Six digits are more than the page shows. JSON has no NaN.
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in values.tolist()]
