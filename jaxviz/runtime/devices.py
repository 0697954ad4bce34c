"""Devices that programs are compiled for: this machine's, or named ones that it does not have.

libtpu compiles programs for TPUs and JAX's CUDA plug-in those for GPUs, on any machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, TypeVar, cast

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxviz.errors import ConfigError, nearest

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])

#: Name of the mesh's only axis.
UNITS = "units"
_GIB = 1 << 30


@dataclass(frozen=True)
class Chip:
    """A kind of device, with the figures of its data sheet.

    Attributes:
        platform: `gpu` or `tpu`, as `jax.default_backend()` says.
        flops: {dtype: FLOP/s of the matrix units}. At default precision a TPU multiplies
            float32 in bfloat16, and a GPU in TF32.
        bandwidth: Bytes per second to and from HBM.
        memory: Bytes of HBM.
    """

    platform: str
    flops: Mapping[str, float]
    bandwidth: float
    memory: int


def _tpu(teraflops: float, gigabytes: float, gibibytes: int) -> Chip:
    speed = dict.fromkeys(("float32", "bfloat16"), teraflops * 1e12)
    return Chip("tpu", speed, gigabytes * 1e9, gibibytes * _GIB)


#: From data sheets: cloud.google.com/tpu/docs, NVIDIA H100 SXM.
CHIPS = {
    "v5e": _tpu(197, 819, 16),
    "v5p": _tpu(459, 2765, 95),
    "v6e": _tpu(918, 1640, 32),
    "h100": Chip("gpu", {"float32": 494.7e12, "bfloat16": 989.4e12}, 3352e9, 80 * _GIB),
}
# Names of these chips in JAX.
_KINDS = {
    "TPU v5 lite": "v5e",
    "TPU v5": "v5p",
    "TPU v6 lite": "v6e",
    "NVIDIA H100 80GB HBM3": "h100",
}
# XLA's description of a GPU, from NVIDIA's H100 white paper and CUDA's limits for 9.0.
_H100 = """
gpu_device_info {
  cuda_compute_capability { major: 9 minor: 0 }
  core_count: 132
  fpus_per_core: 128
  clock_rate_ghz: 1.98
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  registers_per_block_limit: 65536
  registers_per_core_limit: 65536
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
  l2_cache_size: 52428800
  memory_bandwidth: 3352320000000
  device_memory_size: 85899345920
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 8 }
runtime_version { major: 12 minor: 8 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""


@dataclass(frozen=True)
class Target:
    """The devices that units are spread over.

    Attributes:
        name: The name asked for, or the kind of this machine's devices.
        platform: `cpu`, `gpu` or `tpu`.
        devices: The devices; each computes an equal share of a chunk's units.
        memory: Bytes of each device's memory; None if unknown.
        chip: Figures of the data sheet, for known chips.
        present: Whether this machine has the devices, so that programs can run.
    """

    name: str
    platform: str
    devices: tuple[jax.Device, ...] = field(repr=False)
    memory: int | None
    chip: Chip | None
    present: bool

    @property
    def mesh(self) -> Mesh | None:
        """The devices in a row; None for a single device of this machine."""
        if self.present and len(self.devices) == 1:
            return None
        return Mesh(np.array(self.devices), (UNITS,))

    @property
    def looped(self) -> bool:
        """Whether steps are a compiled loop, which on a CPU is slower than a loop in Python."""
        return self.platform != "cpu"

    def shared(self, units: int) -> int:
        """The number of units, rounded up to equal shares of all devices."""
        return -(-units // len(self.devices)) * len(self.devices)

    @property
    def split(self) -> NamedSharding | None:
        """The sharding of arrays [unit, …] over several devices; None for a single one."""
        return None if self.mesh is None else NamedSharding(self.mesh, PartitionSpec(UNITS))

    def placed(self, arrays: object, *, split: bool) -> Any:
        """Arrays, or shapes of arrays, placed on all devices.

        Args:
            arrays: A tree of arrays or shapes.
            split: Split them by their first axis; otherwise each device has a copy.
        """
        whole = None if self.mesh is None else NamedSharding(self.mesh, PartitionSpec())
        sharding = self.split if split else whole

        def place(
            array: jax.Array | np.ndarray | jax.ShapeDtypeStruct,
        ) -> jax.Array | jax.ShapeDtypeStruct:
            if isinstance(array, jax.ShapeDtypeStruct):
                return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding)
            return jax.device_put(array, sharding)

        return jax.tree.map(place, arrays)


def spread_units(run: FunctionT, mesh: Mesh | None) -> FunctionT:
    """A function of weights and arrays of units that each device computes for its own units.

    Args:
        run: (weights, arrays [unit, …] or scalars, …) -> arrays [unit, …].
        mesh: The devices; None returns the function unchanged.

    Returns:
        A function with the arguments and results of `run`. Devices exchange nothing.
    """
    if mesh is None:
        return run

    def spread(params: object, *arguments: object) -> object:
        def spec(array: jax.Array) -> PartitionSpec:
            return PartitionSpec(UNITS) if array.ndim else PartitionSpec()

        specs = (PartitionSpec(), *jax.tree.map(spec, arguments))
        out = PartitionSpec(UNITS)
        return jax.shard_map(run, mesh=mesh, in_specs=specs, out_specs=out, check_vma=False)(
            params, *arguments
        )

    return cast(FunctionT, spread)


def present_target() -> Target:
    """The devices of this process.

    Example:
        >>> present_target().present
        True
    """
    devices = tuple(jax.local_devices())
    kind = devices[0].device_kind
    chip = CHIPS.get(_KINDS.get(kind, ""))
    return Target(kind, jax.default_backend(), devices, _memory(devices[0]), chip, True)


def named_target(name: str) -> Target:
    """Devices by name, which programs can be compiled for but not run on.

    Args:
        name: A chip and its layout, such as `v5e:2x2`, `v6e:4x4`, `h100` or `h100:8`.

    Raises:
        ConfigError: If there is no such target, or its compiler is not installed.
    """
    kind, _, layout = name.lower().partition(":")
    if kind not in CHIPS:
        raise ConfigError(
            f"there is no target {name!r}",
            hint=nearest(kind, CHIPS) or f"There are: {', '.join(CHIPS)}; v5e:2x2 is four chips.",
        )
    chip = CHIPS[kind]
    if not re.fullmatch(r"(\d+(x\d+){0,2})?", layout):
        raise ConfigError(
            f"{layout!r} of target {name!r} is not a layout of chips",
            hint=f"Expected {kind}, " + ("h100:8." if kind == "h100" else f"{kind}:2x2."),
        )
    devices = _h100s(name, layout) if chip.platform == "gpu" else _tpus(name, kind, layout)
    return Target(name.lower(), chip.platform, devices, chip.memory, chip, False)


def find_target(name: str | None) -> Target:
    """The devices of this name; this machine's where the name is None."""
    return present_target() if name is None else named_target(name)


def _tpus(name: str, kind: str, layout: str) -> tuple[jax.Device, ...]:
    _need("libtpu", "tpu", name)
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # or libtpu asks the network
    # a lock keeps a second process off a chip, but compiling needs no chip
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    options: dict[str, object] = {}
    if np.prod([int(n) for n in (layout or "1x1").split("x")]) == 1:
        layout, options = "1x1", {"chips_per_host_bounds": (1, 1, 1)}
    return _topology(name, "tpu", topology_name=f"{kind}:{layout}", **options)


def _h100s(name: str, layout: str) -> tuple[jax.Device, ...]:
    _need("jax_plugins.xla_cuda12", "cuda", name)
    os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")  # the check asks the driver
    # without a device no algorithm can be timed
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_gpu_autotune_level" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_autotune_level=0".strip()
    count = int(np.prod([int(n) for n in (layout or "1").split("x")]))
    return _topology(
        name,
        "cuda",
        topology_name="NVIDIA H100 80GB HBM3",
        topology=f"1x1x{count}",
        target_config=_H100,
    )


def _topology(
    name: str, platform: str, topology_name: str, **options: object
) -> tuple[jax.Device, ...]:
    from jax.experimental import topologies

    # programs are not run, so this machine's devices stay untouched
    jax.config.update("jax_platforms", "cpu")
    try:
        return tuple(topologies.get_topology_desc(topology_name, platform, **options).devices)
    except Exception as error:  # plug-ins raise many kinds
        raise ConfigError(
            f"cannot compile for {name!r}: {str(error).strip().splitlines()[-1]}",
            hint="Expected a layout such as v5e:2x2, v5e:4x4 or v5p:2x2x1.",
        ) from error


def _need(module: str, extra: str, name: str) -> None:
    try:
        found = find_spec(module) is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        raise ConfigError(
            f"cannot compile for {name!r}: {module.split('.')[-1]} is not installed",
            hint=f"pip install 'jaxviz-atlas[{extra}]'",
        )


def _memory(device: jax.Device) -> int | None:
    """Bytes of memory as the device reports them; for a CPU the machine's."""
    if device.platform == "cpu":
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (AttributeError, ValueError, OSError):
            return None
    try:
        return (device.memory_stats() or {}).get("bytes_limit")
    except jax.errors.JaxRuntimeError:
        return None
