"""Reading a picture at other places: two small matrix products, one for each axis."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

#: What lies outside a picture: its other side, its outermost pixels, or a fixed value.
Outside = Literal["wrap", "edge", "value"]
Image = Float[Array, "height width channels"]


def shortest(height: int, width: int) -> int:
    """The shorter side, in pixels; a signal's one row is none."""
    return max(height, width) if min(height, width) == 1 else min(height, width)


def changed(by: int, height: int, width: int) -> tuple[int, int]:
    """Both sides longer by so many pixels; a signal's one row stays one."""
    return height + by if height > 1 else 1, width + by if width > 1 else 1


def picked(places: jax.Array | np.ndarray, n: int) -> Float[Array, "out in"]:
    """Weights that read whole pixels of an axis of n; those outside of it are missed."""
    return jnp.asarray(places[:, None] == np.arange(n), jnp.float32)


def enlarged(n: int, factor: jax.Array) -> jax.Array:
    """[n]: where an axis is read so that it becomes larger by a factor about its middle."""
    middle = (n - 1) / 2
    return jnp.asarray(np.arange(n) - middle) / factor + middle


def bilinear(positions: jax.Array, n: int, outside: Outside) -> Float[Array, "out in"]:
    """Weights that read an axis of n pixels at these positions, linearly in between."""
    if outside == "edge":
        positions = jnp.clip(positions, 0, n - 1)
    distance = jnp.abs(positions[:, None] - np.arange(n, dtype=np.float32))
    if outside == "wrap":
        distance = distance % n
        distance = jnp.minimum(distance, n - distance)
    return jnp.maximum(0.0, 1.0 - distance)


def reduced(positions: jax.Array, factor: jax.Array, n: int) -> Float[Array, "out in"]:
    """Weights that read a repeated axis of n pixels, with tents as wide as the reduction asks."""
    distance = jnp.abs(positions[:, None] - np.arange(n, dtype=np.float32)) % n
    distance = jnp.minimum(distance, n - distance)
    weights = jnp.maximum(0.0, 1.0 - distance * jnp.minimum(factor, 1.0))
    return weights / weights.sum(axis=1, keepdims=True)


@jax.custom_vjp
def rolled(image: Image, shift: Int[Array, " 2"]) -> Image:
    """The picture moved down and to the right, in on one side of what goes out on the other.

    Its gradient is rolled back. Left to JAX it would be scattered, a pixel at a time.
    """
    return jnp.roll(image, shift, (0, 1))


rolled.defvjp(
    lambda image, shift: (jnp.roll(image, shift, (0, 1)), shift),
    lambda shift, gradient: (jnp.roll(gradient, -shift, (0, 1)), None),
)


def resample(image: Image, rows: jax.Array, columns: jax.Array, *, value: float | None) -> Image:
    """The picture with its axes read through weights.

    Args:
        image: [height, width, channels].
        rows: [out, height].
        columns: [out, width].
        value: What weights that miss the picture read; None where all of them hit.
    """
    inside = image if value is None else image - value
    result = jnp.einsum("yh,hwc,xw->yxc", rows, inside, columns)
    return result if value is None else result + value
