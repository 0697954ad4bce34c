"""The manifest: a document that records the contents of an atlas and how it was made.

It names model, recipe, software and kind of device, but no person, host or absolute path.
`manifest_file` reads and writes it.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from jaxviz._util.filenames import encode
from jaxviz._util.version import __version__
from jaxviz.atlas.columns import Column
from jaxviz.errors import AtlasError
from jaxviz.imaging.curves import curve_size
from jaxviz.runtime.execution import Execution
from jaxviz.status import UnitStatus

FORMAT: Final = "jaxviz-atlas"
SCHEMA_VERSION: Final = 1


class LayerPlan(BaseModel):
    """The contents of one layer of an atlas, fixed when the atlas is made.

    Attributes:
        name: The layer's name in the model.
        channels: The channel of each unit.
        height: Height of each picture as shown, in pixels.
        width: Width of each picture as shown, in pixels.
        depth: Channels of each picture as shown: 1 is grey, 3 is colour.
        piece_units: Units that are committed together, and one chunk of the Zarr arrays. The
            manifest's key is `chunk`.
        compute: How the units are computed. A continued run is handed this value.
        preset: Name of the preset, shown on sheet and page.

    Example:
        >>> plan = LayerPlan(name="conv1", channels=range(70), height=64, width=64, depth=3)
        >>> plan.units, list(plan.pieces())[-1]
        (70, range(64, 70))
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True
    )

    name: str = Field(min_length=1)
    channels: tuple[int, ...] = Field(min_length=1)
    height: int = Field(ge=1)
    width: int = Field(ge=1)
    depth: int = Field(ge=1)
    piece_units: int = Field(
        default=32, ge=1, alias="chunk", description="Units that are committed together."
    )
    compute: Execution | None = None
    preset: str = ""

    @field_validator("compute", mode="before")
    @classmethod
    def _none_recorded(cls, value: object) -> object:
        return value or None  # an atlas of version 0.1 may hold {}

    @model_validator(mode="before")
    @classmethod
    def _ranges(cls, fields: object) -> object:
        if isinstance(fields, dict) and isinstance(fields.get("channels"), range):
            return {**fields, "channels": tuple(fields["channels"])}
        return fields

    @property
    def key(self) -> str:
        """The layer's name, made safe as a file name."""
        return encode(self.name)

    @property
    def tile_size(self) -> tuple[int, int]:
        """(height, width) of a tile. Signals are shown as curves, which are higher than one row."""
        return curve_size(self.width, self.depth) if self.height == 1 else (self.height, self.width)

    @property
    def size_text(self) -> str:
        """The size of a picture, for people."""
        return f"{self.width} samples" if self.height == 1 else f"{self.width} × {self.height} px"

    @property
    def units(self) -> int:
        """Number of units of the layer in this atlas."""
        return len(self.channels)

    def pieces(self) -> tuple[range, ...]:
        """The ranges of units that are committed together, in order."""
        return tuple(
            range(start, min(start + self.piece_units, self.units))
            for start in range(0, self.units, self.piece_units)
        )

    def shape_of(self, column: Column, units: int) -> tuple[int, ...]:
        """The shape of a column's array for a number of units."""
        sizes = {"height": self.height, "width": self.width, "depth": self.depth}
        return (units, *(sizes[axis] for axis in column.axes))

    @property
    def chunk(self) -> int:
        """The old name of `piece_units`."""
        _renamed("chunk", "piece_units")
        return self.piece_units

    def chunks(self) -> tuple[range, ...]:
        """The old name of `pieces`."""
        _renamed("chunks", "pieces")
        return self.pieces()


def _renamed(old: str, new: str) -> None:
    message = f"LayerPlan.{old} is now LayerPlan.{new}; the old name goes away in jaxviz 0.3"
    warnings.warn(message, DeprecationWarning, stacklevel=3)


class Strips(BaseModel):
    """How the files in `tiles/KEY/` hold a layer's tiles.

    Attributes:
        tiles: Tiles in a file, one below the other.
        suffix: Ending of the files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tiles: int = Field(ge=1)
    suffix: Literal["png", "jpg"]


class Spread(BaseModel):
    """How a measure is distributed over a layer's units that are done or rescued.

    Attributes:
        units: Number of units for which the measure is finite.
        low: 10th percentile.
        median: 50th percentile.
        high: 90th percentile.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    units: int
    low: float
    median: float
    high: float


class LayerRecord(BaseModel):
    """A layer's plan, and how far its units are.

    Attributes:
        key: The layer's name, made safe as a file name: its place under `layers/` and `sheets/`.
        plan: The contents of the layer.
        counts: Number of units with each status, by the status's label.
        drawn: Number of final units when the sheet was last drawn.
        strips: The files with the page's tiles; none before the sheet is drawn.
        seconds: Time spent on the layer, summed over all runs.
        measures: Distribution of each measure over the units that are done or rescued.
        reasons: Number of dead or rescued units, by reason.
    """

    model_config = ConfigDict(extra="forbid")

    key: str
    plan: LayerPlan
    counts: dict[str, int]
    drawn: int = Field(default=0, ge=0)
    strips: Strips | None = None
    seconds: float = Field(default=0.0, ge=0)
    measures: dict[str, Spread] = Field(default_factory=dict)
    reasons: dict[str, int] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _key_belongs_to_name(self) -> LayerRecord:
        # The key becomes a path, so a manifest from elsewhere must not choose another one.
        if self.key != self.plan.key:
            raise ValueError(f"the key of layer {self.plan.name!r} must be {self.plan.key!r}")
        return self


class RunRecord(BaseModel):
    """A run that wrote to the atlas.

    Attributes:
        started: When the run started, in UTC.
        record: Software and kind of device.
    """

    model_config = ConfigDict(extra="forbid")

    started: datetime
    record: dict[str, JsonValue]


class Manifest(BaseModel):
    """All information about an atlas except its pictures and its numbers per unit.

    Attributes:
        format: Marks the JSON file as a manifest.
        schema_version: Version of this schema. Newer versions are refused.
        jaxviz_version: The version of jaxviz that made the atlas.
        title: The atlas's name, for people.
        created: When the atlas was made, in UTC.
        updated: When the manifest was last written, in UTC.
        identity: Model, recipe and seed. Only a run with equal values may continue the atlas.
        runs: The runs that wrote to the atlas.
        layers: The layers, in the order in which they are made.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal["jaxviz-atlas"] = FORMAT
    schema_version: Literal[1] = SCHEMA_VERSION
    jaxviz_version: str = __version__
    title: str
    created: datetime
    updated: datetime
    identity: dict[str, JsonValue]
    runs: list[RunRecord] = Field(default_factory=list)
    layers: list[LayerRecord]


def new_manifest(
    title: str, identity: Mapping[str, object], plans: Sequence[LayerPlan]
) -> Manifest:
    """The manifest of an atlas without any rendered unit.

    Raises:
        AtlasError: If two plans have the same name.
    """
    names = [plan.name for plan in plans]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise AtlasError(
            "an atlas holds each layer once; these are planned more than once",
            details=list(map(repr, twice)),
        )
    nothing = {status.label: 0 for status in UnitStatus}
    layers = [
        LayerRecord(
            key=plan.key, plan=plan, counts={**nothing, UnitStatus.PENDING.label: plan.units}
        )
        for plan in plans
    ]
    return Manifest(
        title=title, created=now(), updated=now(), identity=as_json(identity), layers=layers
    )


def now() -> datetime:
    """The time in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def as_json(values: Mapping[str, object]) -> dict[str, JsonValue]:
    """Values in the form in which a JSON file returns them: tuples as lists, keys as text.

    Raises:
        TypeError: If JSON has no form for a value.
        ValueError: If a number is infinite or NaN.
    """
    document: dict[str, JsonValue] = json.loads(json.dumps(dict(values), allow_nan=False))
    return document


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema of `manifest.json`.

    Example:
        >>> sorted(manifest_schema()["required"])
        ['created', 'identity', 'layers', 'title', 'updated']
    """
    return Manifest.model_json_schema()
