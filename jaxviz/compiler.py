"""What XLA is told when it compiles for a CPU: programs run for thousands of steps, or once."""

from __future__ import annotations

import contextlib
from functools import cache
from pathlib import Path

import jax

Options = dict[str, bool | int]

# LLVM takes half of these processors' vectors by itself. All of them made the steps of eleven
# layers up to 15 % faster and two 2 to 3 % slower; where there are none nothing changes.
_WHOLE_VECTORS: Options = {"xla_cpu_prefer_vector_width": 512}
# Half of a compile is LLVM's last optimisations and MLIR's way to write fused loops, which a
# look at a picture is not the better for; the step is.
_SOON: Options = {"xla_backend_optimization_level": 1, "xla_cpu_use_fusion_emitters": False}


def often_run(platform: str) -> Options | None:
    """Compiler options for a step.

    Args:
        platform: As JAX calls it; everywhere but on a CPU there are none.
    """
    return _accepted(wide=_has_wide_vectors(), soon=False) if platform == "cpu" else None


def rarely_run(platform: str) -> Options | None:
    """Compiler options for a program that is run once for many steps, to have it sooner."""
    return _accepted(wide=_has_wide_vectors(), soon=True) if platform == "cpu" else None


@cache
def _accepted(*, wide: bool, soon: bool) -> Options | None:
    """The options, or none where this XLA does not know one of them."""
    options = (_WHOLE_VECTORS if wide else {}) | (_SOON if soon else {})
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return None
    return options


@cache
def _has_wide_vectors() -> bool:
    with contextlib.suppress(OSError):
        return " avx512f" in Path("/proc/cpuinfo").read_text()
    return False
