"""What XLA is told when it compiles: on a CPU how much to make of a program before it runs."""

from __future__ import annotations

import contextlib
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from jaxviz.runtime.execution import Effort

Options = dict[str, bool | int | float]

# LLVM takes half of these processors' vectors by itself. All of them made the steps of eleven
# layers up to 15 % faster and two 2 to 3 % slower; where there are none nothing changes.
_WHOLE_VECTORS: Options = {"xla_cpu_prefer_vector_width": 512}
# Scratch in pieces that fit a thread's heap: glibc maps a larger one anew at every step
# (`allocator.py`). A U-Net's conv2d_14 at 256 px ran 1.12 to 1.19 times faster, VGG16's
# block5 at 224 px 1.05 to 1.12.
_PIECES: Options = {"xla_multiheap_size_constraint_per_heap": 56 << 20}
# A third of a compile is MLIR's way to write fused loops. Steps of nine layers without it:
# 9 % faster to 16 % slower, and 73 % in a layer that takes a tenth of a second.
_PLAIN_LOOPS: Options = {"xla_cpu_use_fusion_emitters": False}
# Another third is LLVM's last optimisations, which a look at a picture is not the better for.
_FIRST_LEVEL: Options = {"xla_backend_optimization_level": 1}
# A TPU's compiler brings into the chip's own memory also what is copied in and out as much as it is
# read and written there. Left outside, an image and step of ResNet50's conv5_block1 on a v5e moves
# 33.6 MB by the compiler's count instead of 42.3, and 5.6 instead of 7.2 to and from the memory
# beside the chip, at 63.2 thousand of its estimated cycles instead of 60.5. At 0.8 nothing
# changes.
_WORTH_COPYING: Options = {"xla_tpu_msa_inefficient_use_to_copy_ratio": 1.01}
# Billions of operations in all of a layer's steps that are worth all. Less than `some` did not pay:
# five small layers took 0.9 to 1.6 s altogether with it, and 1.0 to 2.2 with `little` (medians).
_SOME = 1500.0


def effort_for(gflop: float) -> Effort:
    """How much a step's compile is worth.

    Args:
        gflop: Billions of operations in all steps that will be made.

    Example:
        >>> effort_for(0.06 * 30 * 64)  # 64 filters, 30 steps each
        'some'
    """
    return "some" if gflop < _SOME else "all"


def compiler_options(platform: str, effort: Effort, device: Any = None) -> Options | None:
    """What to compile with; nothing where this XLA does not know one of the options.

    Args:
        platform: As JAX calls it; on a GPU there are none.
        effort: How much the program is worth, on a CPU.
        device: One that is compiled for, where it is not the process's own.
    """
    if platform not in ("cpu", "tpu") or not _known(platform, device):
        return None
    if platform == "tpu":
        return _WORTH_COPYING
    options = _PIECES | (_WHOLE_VECTORS if _has_wide_vectors() else {})
    options |= _PLAIN_LOOPS if effort != "all" else {}
    return options | (_FIRST_LEVEL if effort == "little" else {})


@cache
def _known(platform: str, device: Any) -> bool:
    """Whether this XLA knows all that it may be told; seen by compiling once with all of it."""
    cpu = _PIECES | _WHOLE_VECTORS | _PLAIN_LOOPS | _FIRST_LEVEL
    options = _WORTH_COPYING if platform == "tpu" else cpu
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
