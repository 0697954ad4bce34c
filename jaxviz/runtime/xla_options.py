"""XLA's compiler options, which trade compile time for run time on a CPU."""

from __future__ import annotations

import contextlib
from functools import cache
from pathlib import Path

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from jaxviz.runtime.execution import Effort

Options = dict[str, bool | int | float]

# LLVM uses half of an AVX-512 vector by default. Whole vectors made steps up to 15 % faster.
_WHOLE_VECTORS: Options = {"xla_cpu_prefer_vector_width": 512}
# Scratch memory in pieces that fit a thread's heap, because glibc maps larger ones anew at every
# step (`malloc.py`).
_PIECES: Options = {"xla_multiheap_size_constraint_per_heap": 56 << 20}
# MLIR's fused loops take a third of the compile time, and few steps are faster with them.
PLAIN_LOOPS: Options = {"xla_cpu_use_fusion_emitters": False}
# LLVM's last optimisations take another third, which a program that runs once does not repay.
_FIRST_LEVEL: Options = {"xla_backend_optimization_level": 1}
# A TPU's compiler copies arrays into VMEM even if they are read there no more often than copied.
# Above a ratio of 1 such arrays stay in HBM, which saves a fifth of the traffic.
WORTH_COPYING: Options = {"xla_tpu_msa_inefficient_use_to_copy_ratio": 1.01}
# Layers with more GFLOP in all their steps are worth `all`. `little` does not pay, even for small
# layers.
_SOME = 1500.0


def effort_for(gflop: float) -> Effort:
    """How much compiling a layer's step is worth.

    Args:
        gflop: GFLOP of all steps of all units.

    Example:
        >>> effort_for(0.06 * 30 * 64)  # 64 filters, 30 steps each
        'some'
    """
    return "some" if gflop < _SOME else "all"


def compiler_options(
    platform: str, effort: Effort, device: jax.Device | None = None
) -> Options | None:
    """XLA's options for a program; None where this XLA does not know one of them.

    Args:
        platform: `cpu`, `gpu` or `tpu`; a GPU has no options.
        effort: How much compiling the program is worth, on a CPU.
        device: The device to compile for; by default the process's own.
    """
    if platform not in ("cpu", "tpu") or not known(platform, device):
        return None
    if platform == "tpu":
        return WORTH_COPYING
    options = _PIECES | (_WHOLE_VECTORS if _has_wide_vectors() else {})
    options |= PLAIN_LOOPS if effort != "all" else {}
    return options | (_FIRST_LEVEL if effort == "little" else {})


@cache
def known(platform: str, device: jax.Device | None) -> bool:
    """Whether this XLA accepts every option of a platform, tested by compiling with all of them."""
    cpu = _PIECES | _WHOLE_VECTORS | PLAIN_LOOPS | _FIRST_LEVEL
    options = WORTH_COPYING if platform == "tpu" else cpu
    sharding = None if device is None else SingleDeviceSharding(device)
    number = jax.ShapeDtypeStruct((), np.float32, sharding=sharding)
    try:
        jax.jit(lambda x: x, compiler_options=options).lower(number).compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


@cache
def _has_wide_vectors() -> bool:
    with contextlib.suppress(OSError):
        return " avx512f" in Path("/proc/cpuinfo").read_text()
    return False
