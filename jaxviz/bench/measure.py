"""Measure the steps of each layer, chunk size and dtype within a given time."""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import jax
import numpy as np

from jaxviz._util.version import __version__
from jaxviz.bench.document import BenchResult, Device, Row
from jaxviz.bench.rates import memory_rate, product_rate
from jaxviz.bench.stepper import States, Stepper
from jaxviz.bundle import Bundle
from jaxviz.presets import Preset
from jaxviz.runtime.execution import Dtype
from jaxviz.runtime.hlo import accessed_bytes

_REPEATS = 5
# Number of units whose gradient is checked in the search for live ones.
_TRIED = 64


@dataclass(frozen=True)
class Settings:
    """The settings of a measurement.

    Attributes:
        preset: How pictures are made.
        size: Side of the image in pixels; None for the preset's.
        chunks: Numbers of units in one compiled call; None tunes it for the device.
        dtypes: Types of the network's arithmetic.
        seconds: Time for all timings together, without compiling.
    """

    preset: Preset
    size: int | None = None
    chunks: tuple[int | None, ...] = (None,)
    dtypes: tuple[Dtype, ...] = ("float32",)
    seconds: float = 20.0


def bench(
    bundle: Bundle,
    layers: Sequence[str],
    settings: Settings,
    on_row: Callable[[Row], None] | None = None,
) -> BenchResult:
    """Measure layers of a model on the devices of this process.

    Args:
        bundle: A converted model.
        layers: Names of nodes.
        settings: The settings.
        on_row: Called with each row as soon as it is measured.

    Raises:
        JaxvizError: If the settings do not suit a layer.
    """
    device = measured_device(settings.dtypes)
    count = len(layers) * len(settings.chunks) * len(settings.dtypes)
    rows = []
    for layer in layers:
        for dtype in settings.dtypes:
            for chunk in settings.chunks:
                row = measure(
                    bundle, layer, settings, dtype, chunk, device, settings.seconds / count
                )
                rows.append(row)
                if on_row is not None:
                    on_row(row)
    return BenchResult(
        time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        model=bundle.spec.name,
        sha256=bundle.digest,
        source=bundle.spec.source,
        preset=settings.preset.name,
        software={"jaxviz": __version__, **{n: version(n) for n in ("jax", "jaxlib", "numpy")}},
        device=device,
        rows=tuple(rows),
    )


def measured_device(dtypes: Sequence[str], *, seconds: float = 0.5) -> Device:
    """Describe the device and measure its rates.

    Args:
        dtypes: Types of the matrix products.
        seconds: Time for each rate.
    """
    device = jax.devices()[0]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Device(
        platform=device.platform,
        kind=device.device_kind,
        count=jax.device_count(),
        threads=cores or 1,
        product_rate={dtype: product_rate(dtype, seconds=seconds) for dtype in dtypes},
        memory_rate=memory_rate(seconds=seconds),
    )


def measure(
    bundle: Bundle,
    layer: str,
    settings: Settings,
    dtype: Dtype,
    chunk: int | None,
    device: Device,
    seconds: float,
) -> Row:
    """Measure one row.

    Args:
        bundle: A converted model.
        layer: Name of a node.
        settings: The settings.
        dtype: Type of the network's arithmetic.
        chunk: Number of units in one compiled call; None tunes it for the device.
        device: The device's rates.
        seconds: Time for all timings of the row.

    Returns:
        The row; without numbers but with a `problem` if memory is too small.

    Raises:
        JaxvizError: If the settings do not suit the layer.
    """
    preset = settings.preset
    stepper = Stepper(bundle, layer, preset, size=settings.size, chunk=chunk, dtype=dtype)
    row = Row(
        layer=layer,
        units=stepper.renderer.setup.units,
        size=stepper.renderer.setup.shape,
        chunk=stepper.chunk,
        lanes=stepper.lanes,
        dtype=dtype,
    )
    try:
        with _no_stored_programs():
            return _timed(bundle, stepper, row, device, seconds)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return row.model_copy(update={"problem": str(error).splitlines()[0]})


def _timed(bundle: Bundle, stepper: Stepper, row: Row, device: Device, seconds: float) -> Row:
    began = time.perf_counter()
    channels = np.arange(stepper.units) % row.units
    stepper.advance(stepper.start(channels), channels, 1)
    first = time.perf_counter() - began
    live, tried = stepper.live_channels(stepper.units, max(_TRIED, 4 * stepper.units))
    # live units replace the dead ones, which cost as much but do not count
    channels = np.resize(live, stepper.units) if live else channels
    states = stepper.start(channels)
    states, once = stepper.timed(states, channels, 1)
    states, once = stepper.timed(states, channels, 1)
    steps = max(1, round(seconds / _REPEATS / once))
    took = []
    for _ in range(_REPEATS):
        states, total = stepper.timed(states, channels, steps)
        took.append(total / steps)
    median = statistics.median(took)
    shares = len(stepper.renderer.target.devices)
    flops = stepper.renderer.setup.step_flops
    found = {
        "live": len(live),
        "tried": tried,
        "compile_seconds": max(0.0, first - median),
        "tuning_seconds": stepper.tuning_seconds,
        "step_seconds": median,
        "spread": (min(took), max(took)),
        "repeats": _REPEATS,
        "filter_steps_per_second": stepper.units / median if live else None,
        "gflop": flops / 1e9,
        "of_products": flops * stepper.units / median / device.product_rate[row.dtype] / shares,
    }
    return row.model_copy(update=found | _compiler(stepper, states, channels, median, device))


def _compiler(
    stepper: Stepper, states: States, channels: np.ndarray, seconds: float, device: Device
) -> dict[str, float]:
    """The compiler's figures for a step, by the name of the row's field."""
    program = stepper.compiled(states, channels)
    found = {}
    if (memory := program.memory_analysis()) is not None:
        # results reuse the buffers of the donated state
        one = memory.temp_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
        held = memory.argument_size_in_bytes
        found["peak_megabytes"] = (one * stepper.lanes + held) / 1e6
    if moved := accessed_bytes(program):
        # the compiler counts for one device and its share of the chunk
        share = stepper.chunk / len(stepper.renderer.target.devices)
        found["megabytes"] = moved / share / 1e6
        if device.memory_rate:
            found["of_memory"] = moved * stepper.lanes / seconds / device.memory_rate
    return found


@contextlib.contextmanager
def _no_stored_programs() -> Iterator[None]:
    """Compile everything afresh, even if this machine's cache has the programs.

    A temporary cache takes its place, so that looking up a step's program after it has run does
    not compile again.
    """
    from jax.experimental.compilation_cache import compilation_cache

    before = {
        name: jax.config.values[name]
        for name in ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    }
    with tempfile.TemporaryDirectory() as folder:
        try:
            jax.config.update("jax_compilation_cache_dir", folder)
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
            compilation_cache.reset_cache()
            yield
        finally:
            for name, value in before.items():
                jax.config.update(name, value)
            compilation_cache.reset_cache()
