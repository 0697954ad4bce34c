"""The result of `jaxviz bench` as a document."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jaxviz.errors import ConfigError
from jaxviz.spec import Source

_STRICT = ConfigDict(frozen=True, extra="forbid")


class Device(BaseModel):
    """What was measured on.

    Attributes:
        platform: `cpu`, `gpu` or `tpu`.
        kind: As JAX calls it.
        count: Devices that JAX sees.
        threads: Cores that the process may use.
        product_rate: Operations per second of a matrix product on one device, by dtype.
        memory_rate: Bytes read and written per second, by one device.
    """

    model_config = _STRICT
    platform: str
    kind: str
    count: int
    threads: int
    product_rate: dict[str, float] = Field(default_factory=dict)
    memory_rate: float | None = None


class Row(BaseModel):
    """One layer at one chunk size and dtype.

    Attributes:
        layer: Its name.
        units: Channels of the layer.
        size: (height, width, channels) of the image.
        chunk: Units in one compiled call.
        lanes: Such calls at the same time.
        dtype: Of the network's arithmetic.
        live: Units with a gradient that were stepped; 0 where none was found.
        tried: Units that were tried for one.
        compile_seconds: The first step less an ordinary one.
        tuning_seconds: What the choice of the chunk took, where it was not given.
        step_seconds: Median of the repeats, for all live units together.
        spread: (fastest, slowest) of the repeats.
        repeats: How many.
        filter_steps_per_second: Live units stepped in a second; none where none is live.
        gflop: Billions of operations that an image and step cannot do without.
        megabytes: Moved per image and step, as the compiler counts.
        peak_megabytes: The step's arguments, results and scratch, in all lanes of one device.
        of_products: Fraction of the measured rate of matrix products, on all devices, that
            `gflop` comes to.
        of_memory: The same of `megabytes` and the memory's rate.
        problem: Why there are no numbers, such as too little memory.
    """

    model_config = _STRICT
    layer: str
    units: int
    size: tuple[int, int, int]
    chunk: int
    lanes: int = 1
    dtype: str = "float32"
    live: int = 0
    tried: int = 0
    compile_seconds: float | None = None
    tuning_seconds: float = 0.0
    step_seconds: float | None = None
    spread: tuple[float, float] | None = None
    repeats: int = 0
    filter_steps_per_second: float | None = None
    gflop: float | None = None
    megabytes: float | None = None
    peak_megabytes: float | None = None
    of_products: float | None = None
    of_memory: float | None = None
    problem: str = ""

    @property
    def key(self) -> tuple[str, tuple[int, int, int], int, str]:
        """What has to be equal for two rows to be compared."""
        return self.layer, self.size, self.chunk, self.dtype


class Total(BaseModel):
    """All measured layers together, each in the fastest of its chunk sizes.

    Attributes:
        dtype: Of the network's arithmetic.
        layers: How many have a number.
        units: Their channels.
        compile_seconds: Once for each layer.
        filter_steps_per_second: Of all their units, one layer after the other.
    """

    model_config = _STRICT
    dtype: str
    layers: int
    units: int
    compile_seconds: float
    filter_steps_per_second: float


class BenchResult(BaseModel):
    """Everything that `jaxviz bench` measured, and where."""

    model_config = _STRICT
    schema_version: Literal[1] = 1
    time: str
    model: str
    sha256: str
    source: Source
    preset: str
    software: dict[str, str]
    device: Device
    rows: tuple[Row, ...]

    @property
    def totals(self) -> tuple[Total, ...]:
        """One for each dtype, over layers that have numbers."""
        return tuple(self._totals())

    def _totals(self) -> Iterator[Total]:
        for dtype in dict.fromkeys(row.dtype for row in self.rows):
            fastest: dict[str, Row] = {}
            for row in self.rows:
                rate, held = row.filter_steps_per_second, fastest.get(row.layer)
                if row.dtype != dtype or rate is None:
                    continue
                if held is None or rate > (held.filter_steps_per_second or 0):
                    fastest[row.layer] = row
            if not fastest:
                continue
            units = sum(row.units for row in fastest.values())
            seconds = sum(r.units / (r.filter_steps_per_second or 1) for r in fastest.values())
            yield Total(
                dtype=dtype,
                layers=len(fastest),
                units=units,
                compile_seconds=sum(row.compile_seconds or 0 for row in fastest.values()),
                filter_steps_per_second=units / seconds,
            )


def read_result(path: str | os.PathLike[str]) -> BenchResult:
    """A result from its file.

    Raises:
        ConfigError: If it cannot be read or is no result.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error}") from error
    try:
        return BenchResult.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{str(path)!r} is not a result of `jaxviz bench`",
            details=[f"{where or 'the document'}: {first['msg']}"],
            hint="Expected a file written by `jaxviz bench MODEL --json FILE`.",
        ) from error
