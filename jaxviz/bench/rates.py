"""What the device itself can do, measured: matrix products, and moving memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

# Large enough that a product is all there is, small enough to take a moment.
_CPU_SIDE, _DEVICE_SIDE = 2048, 8192
# Many times any cache.
_CPU_NUMBERS, _DEVICE_NUMBERS = 64 << 20, 256 << 20


def product_rate(dtype: str = "float32", *, seconds: float = 0.5, side: int | None = None) -> float:
    """Operations per second of a large matrix product, a multiplication and an addition being two.

    Args:
        dtype: Of the matrices.
        seconds: How long to try; the best counts.
        side: Of the matrices; chosen for the device where left out.
    """
    n = side or (_CPU_SIDE if jax.default_backend() == "cpu" else _DEVICE_SIDE)
    matrix = jax.random.normal(jax.random.key(0), (n, n)).astype(dtype)
    multiply = jax.jit(lambda a, b: a @ b)
    return 2 * n**3 / _best(lambda: multiply(matrix, matrix), seconds)


def memory_rate(*, seconds: float = 0.5, numbers: int | None = None) -> float:
    """Bytes per second that are read and written, over an array that no cache holds.

    Args:
        seconds: How long to try; the best counts.
        numbers: How many float32 numbers; chosen for the device where left out.
    """
    n = numbers or (_CPU_NUMBERS if jax.default_backend() == "cpu" else _DEVICE_NUMBERS)
    scale = jax.jit(lambda x: x * 0.999, donate_argnums=0)
    held = [jnp.ones(n, jnp.float32)]

    def once() -> Any:
        held.append(scale(held.pop()))
        return held[0]

    return 2 * 4 * n / _best(once, seconds)


def _best(once: Callable[[], Any], seconds: float) -> float:
    """The fewest seconds that a call took, after a first one that compiles."""
    jax.block_until_ready(once())
    best, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < seconds:
        before = time.perf_counter()
        jax.block_until_ready(once())
        best = min(best, time.perf_counter() - before)
    return best
