"""Measure the device's own rates: matrix products and memory traffic."""

from __future__ import annotations

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

# Side of the matrices: large enough to hide the overhead of a call, small enough to be quick.
_CPU_SIDE, _DEVICE_SIDE = 2048, 8192
# Number of float32 numbers: many times any cache.
_CPU_NUMBERS, _DEVICE_NUMBERS = 64 << 20, 256 << 20


def product_rate(dtype: str = "float32", *, seconds: float = 0.5, side: int | None = None) -> float:
    """Measure the operations per second of a large matrix product.

    A multiplication and an addition count as two operations.

    Args:
        dtype: Type of the matrices.
        seconds: Time for trying; the fastest product counts.
        side: Side of the matrices; None lets the device decide.
    """
    n = side or (_CPU_SIDE if jax.default_backend() == "cpu" else _DEVICE_SIDE)
    matrix = jax.random.normal(jax.random.key(0), (n, n)).astype(dtype)
    multiply = jax.jit(lambda a, b: a @ b)
    return 2 * n**3 / _best(lambda: multiply(matrix, matrix), seconds)


def memory_rate(*, seconds: float = 0.5, numbers: int | None = None) -> float:
    """Measure the bytes read and written per second, over an array larger than any cache.

    Args:
        seconds: Time for trying; the fastest pass counts.
        numbers: Number of float32 numbers; None lets the device decide.
    """
    n = numbers or (_CPU_NUMBERS if jax.default_backend() == "cpu" else _DEVICE_NUMBERS)
    scale = jax.jit(lambda x: x * 0.999, donate_argnums=0)
    held = [jnp.ones(n, jnp.float32)]

    def once() -> jax.Array:
        held.append(scale(held.pop()))
        return held[0]

    return 2 * 4 * n / _best(once, seconds)


def _best(once: Callable[[], jax.Array], seconds: float) -> float:
    """Seconds of the fastest call, after a first call that compiles."""
    jax.block_until_ready(once())
    best, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < seconds:
        before = time.perf_counter()
        jax.block_until_ready(once())
        best = min(best, time.perf_counter() - before)
    return best
