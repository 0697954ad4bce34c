"""The manifest: what an atlas holds and how it was made.

It says what, not who or where. It is replaced as a whole, so after a kill it may be
behind the store but is never damaged; the counts in it are a copy of what the
`status` arrays say and are taken from there again whenever the atlas is continued.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)

from jaxviz._util.filenames import encode
from jaxviz._util.version import __version__
from jaxviz.atlas.columns import UnitStatus
from jaxviz.atlas.files import explained, write_whole
from jaxviz.atlas.summary import Spread
from jaxviz.errors import AtlasError
from jaxviz.imaging.curves import curve_size
from jaxviz.runtime.execution import Execution

MANIFEST_FILE = "manifest.json"
FORMAT: Final = "jaxviz-atlas"
SCHEMA_VERSION: Final = 1
_LARGEST = 256 << 20


class LayerPlan(BaseModel):
    """What the atlas holds of one layer, fixed when the atlas is made.

    Attributes:
        name: The layer, as the model calls it.
        channels: The channel of each unit.
        height: Of each image as shown, in pixels.
        width: Of each image as shown, in pixels.
        depth: Channels of each image as shown: 1 is grey, 3 is colour.
        chunk: Units that are committed together.
        compute: How the units are computed; a continued run is handed the same value.
        preset: Name of the preset, shown on sheet and page.

    Example:
        >>> plan = LayerPlan(name="conv1", channels=range(70), height=64, width=64, depth=3)
        >>> plan.units, list(plan.chunks())[-1]
        (70, range(64, 70))
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    channels: tuple[int, ...] = Field(min_length=1)
    height: int = Field(ge=1)
    width: int = Field(ge=1)
    depth: int = Field(ge=1)
    chunk: int = Field(default=32, ge=1)
    compute: Execution | None = None
    preset: str = ""

    @field_validator("compute", mode="before")
    @classmethod
    def _none_recorded(cls, value: Any) -> Any:
        return value or None  # an atlas of version 0.1 may hold {}

    @model_validator(mode="before")
    @classmethod
    def _ranges(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and isinstance(fields.get("channels"), range):
            return {**fields, "channels": tuple(fields["channels"])}
        return fields

    @property
    def key(self) -> str:
        """The layer's name as a file name."""
        return encode(self.name)

    @property
    def tile_size(self) -> tuple[int, int]:
        """(height, width) of a unit's picture as people see it: of a signal, that of its curve."""
        return curve_size(self.width, self.depth) if self.height == 1 else (self.height, self.width)

    @property
    def size_text(self) -> str:
        """How large its pictures are, in words."""
        return f"{self.width} samples" if self.height == 1 else f"{self.width} × {self.height} px"

    @property
    def units(self) -> int:
        """How many units the layer has in this atlas."""
        return len(self.channels)

    def chunks(self) -> tuple[range, ...]:
        """The ranges of units that are committed together, in order."""
        return tuple(
            range(start, min(start + self.chunk, self.units))
            for start in range(0, self.units, self.chunk)
        )


class Strips(BaseModel):
    """How a layer's tiles lie in `tiles/KEY/`: so many to a file, and the files' ending."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tiles: int = Field(ge=1)
    suffix: Literal["png", "jpg"]


class LayerRecord(BaseModel):
    """A layer's plan and what became of it.

    Attributes:
        key: The layer's name as a file name: its place under `layers/` and `sheets/`.
        plan: What was asked for.
        counts: How many units have each status, by its label.
        drawn: How many units were final when the sheet was last drawn.
        strips: The files with the page's tiles; none before the sheet is drawn.
        seconds: Time spent on the layer, over all runs.
        measures: How each measure is spread over the units that are done or rescued.
        reasons: How many units are dead or rescued for which reason.
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
        # The key becomes a path; a manifest from elsewhere must not choose another one.
        if self.key != self.plan.key:
            raise ValueError(f"the key of layer {self.plan.name!r} must be {self.plan.key!r}")
        return self


class RunRecord(BaseModel):
    """One run that contributed: when it started and on what it ran."""

    model_config = ConfigDict(extra="forbid")

    started: datetime
    record: dict[str, JsonValue]


class Manifest(BaseModel):
    """Everything that is known about an atlas but its pictures and numbers per unit.

    Attributes:
        format: Tells a manifest from any other JSON file.
        schema_version: Of this document; a newer one is refused.
        jaxviz_version: The version that made the atlas.
        title: The atlas's name, for people.
        created: When it was made, in UTC.
        updated: When the manifest was last written, in UTC.
        identity: What makes it this atlas and no other: model, recipe, seed.
        runs: The runs that wrote to it, with their software and device.
        layers: In the order in which they are made.
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


def new_manifest(title: str, identity: Mapping[str, Any], plans: Sequence[LayerPlan]) -> Manifest:
    """The manifest of an atlas of which nothing is rendered yet.

    Raises:
        AtlasError: If two plans have the same name.
    """
    names = [plan.name for plan in plans]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise AtlasError("an atlas holds each layer once", details=list(map(repr, twice)))
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


def as_json(value: Any) -> Any:
    """A value as it comes back from a JSON file: tuples as lists, keys as text.

    Raises:
        TypeError: If JSON has no form for it.
        ValueError: If it holds an infinity or a NaN.
    """
    return json.loads(json.dumps(value, allow_nan=False))


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema of `manifest.json`.

    Example:
        >>> sorted(manifest_schema()["required"])
        ['created', 'identity', 'layers', 'title', 'updated']
    """
    return Manifest.model_json_schema()


def load_manifest(folder: Path) -> Manifest:
    """Read and check the manifest of an atlas.

    Raises:
        AtlasError: If there is none, or it is damaged, or of a newer version.
    """
    file = folder / MANIFEST_FILE
    with explained("read", file):
        if file.stat().st_size > _LARGEST:
            raise AtlasError(f"{str(file)!r} is larger than any manifest ({_LARGEST} bytes)")
        content = file.read_bytes()
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise AtlasError(
            f"{str(file)!r} is damaged: {error}", hint="Restore it, or start another folder."
        ) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise AtlasError(f"{str(file)!r} is not the manifest of an atlas")
    if document.get("schema_version") != SCHEMA_VERSION:
        raise AtlasError(
            f"{str(file)!r} has schema version {document.get('schema_version')!r}, "
            f"and this jaxviz ({__version__}) reads version {SCHEMA_VERSION}",
            hint=f"It was made by jaxviz {document.get('jaxviz_version', 'unknown')}.",
        )
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        details = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise AtlasError(f"{str(file)!r} is damaged", details=details) from error


def save_manifest(manifest: Manifest, folder: Path) -> None:
    """Replace the manifest on disk, as a whole.

    Raises:
        OSError: As the file system gives it.
    """
    text = _laid_out(manifest.model_dump(mode="json"))
    write_whole(folder / MANIFEST_FILE, (text + "\n").encode())


def _laid_out(value: Any, indent: str = "") -> str:
    """JSON with one key a line, but lists of plain values on one line."""
    inner = indent + " "
    if isinstance(value, dict) and value:
        items = [f"{json.dumps(k)}: {_laid_out(v, inner)}" for k, v in value.items()]
    elif isinstance(value, list) and any(isinstance(v, dict | list) for v in value):
        items = [_laid_out(v, inner) for v in value]
    else:
        return json.dumps(value, allow_nan=False)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    lines = ",\n".join(inner + item for item in items)
    return f"{opening}\n{lines}\n{indent}{closing}"
