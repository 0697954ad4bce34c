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
    """The measured device.

    Attributes:
        platform: `cpu`, `gpu` or `tpu`.
        kind: The device's name, from JAX.
        count: Number of devices that JAX sees.
        threads: Number of cores that the process may use.
        product_rate: Operations per second of a matrix product on one device, by dtype.
        memory_rate: Bytes that one device reads and writes per second.
    """

    model_config = _STRICT
    platform: str
    kind: str
    count: int
    threads: int
    product_rate: dict[str, float] = Field(default_factory=dict)
    memory_rate: float | None = None


class Row(BaseModel):
    """The measurement of one layer at one chunk size and dtype.

    Attributes:
        layer: The layer's name.
        units: Number of channels of the layer.
        size: (height, width, channels) of the image.
        chunk: Number of units in one compiled call.
        lanes: Number of such calls at the same time.
        dtype: Type of the network's arithmetic.
        live: Number of stepped units that have a gradient; 0 if none was found.
        tried: Number of units whose gradient was checked.
        compile_seconds: Seconds of the first step minus the seconds of a later one.
        tuning_seconds: Seconds that tuning the chunk took; 0 if the chunk was given.
        step_seconds: Median seconds of a step, for all live units together.
        spread: (fastest, slowest) seconds of a step.
        repeats: Number of timings.
        filter_steps_per_second: Live units stepped per second; None if none is live.
        gflop: Least billions of operations per image and step.
        megabytes: Megabytes of memory traffic per image and step, as the compiler counts.
        peak_megabytes: Megabytes of the step's arguments, results and scratch, over all lanes of
            one device.
        of_products: Fraction of the measured matrix product rate that `gflop` reaches.
        of_memory: Fraction of the measured memory rate that `megabytes` reaches.
        problem: Why the row has no numbers, such as too little memory.
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
        """The values that two comparable rows share."""
        return self.layer, self.size, self.chunk, self.dtype


class Total(BaseModel):
    """All measured layers together, each at its fastest chunk size.

    Attributes:
        dtype: Type of the network's arithmetic.
        layers: Number of layers with a rate.
        units: Number of channels of these layers.
        compile_seconds: Seconds of compiling each layer once.
        filter_steps_per_second: Rate over all channels, one layer after the other.
    """

    model_config = _STRICT
    dtype: str
    layers: int
    units: int
    compile_seconds: float
    filter_steps_per_second: float


class BenchResult(BaseModel):
    """A result of `jaxviz bench`.

    Attributes:
        schema_version: Version of this document's schema.
        time: When the measurement ended, in UTC.
        model: The network's name.
        sha256: Digest of the bundle.
        source: The file that the model was converted from.
        preset: The preset's name.
        software: Version of each package.
        device: The measured device.
        rows: The measurements.
    """

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
        """One total for each dtype, over all layers with a rate."""
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
    """Read a result from its file.

    Args:
        path: A file written by `jaxviz bench MODEL --json FILE`.

    Raises:
        ConfigError: If the file cannot be read or does not hold a result.
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
