"""Resampling of a picture: one small matrix product for each axis."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

#: Pixels outside of a picture: from its other side, its outermost ones, or a fixed value.
Outside = Literal["wrap", "edge", "value"]
Image = Float[Array, "height width channels"]


def shortest(height: int, width: int) -> int:
    """The shorter side, in pixels; the length of a signal of one row.

    Example:
        >>> shortest(20, 30), shortest(1, 500)
        (20, 500)
    """
    return max(height, width) if min(height, width) == 1 else min(height, width)


def changed(by: int, height: int, width: int) -> tuple[int, int]:
    """(height, width) with both sides longer by some pixels; a signal's one row stays one.

    Example:
        >>> changed(4, 20, 30), changed(4, 1, 500)
        ((24, 34), (1, 504))
    """
    return height + by if height > 1 else 1, width + by if width > 1 else 1


def picked(places: jax.Array | np.ndarray, n: int) -> Float[Array, "out in"]:
    """Weights that read whole pixels of an axis of n pixels; places outside have none.

    Example:
        >>> picked(np.array([1, 2]), 2).tolist()
        [[0.0, 1.0], [0.0, 0.0]]
    """
    return jnp.asarray(places[:, None] == np.arange(n), jnp.float32)


def enlarged(n: int, factor: jax.Array) -> jax.Array:
    """Positions [n] at which an axis of n pixels is read to enlarge it about its middle.

    Example:
        >>> enlarged(3, jnp.float32(2)).tolist()
        [0.5, 1.0, 1.5]
    """
    middle = (n - 1) / 2
    return jnp.asarray(np.arange(n) - middle) / factor + middle


def bilinear(positions: jax.Array, n: int, outside: Outside) -> Float[Array, "out in"]:
    """Weights that read an axis of n pixels at some positions, linear between two pixels.

    Example:
        >>> bilinear(jnp.array([0.25]), 2, "edge").tolist()
        [[0.75, 0.25]]
    """
    if outside == "edge":
        positions = jnp.clip(positions, 0, n - 1)
    distance = jnp.abs(positions[:, None] - np.arange(n, dtype=np.float32))
    if outside == "wrap":
        distance = distance % n
        distance = jnp.minimum(distance, n - distance)
    return jnp.maximum(0.0, 1.0 - distance)


def reduced(positions: jax.Array, factor: jax.Array, n: int) -> Float[Array, "out in"]:
    """Weights that read a repeated axis of n pixels, with tents as wide as the reduction.

    Args:
        positions: [out] places to read, in pixels.
        factor: Size of the result relative to the picture, a scalar; below 1 it is reduced.
        n: Pixels of the axis.

    Returns:
        [out, n]; every row sums to 1.

    Example:
        >>> reduced(jnp.array([0.0]), jnp.float32(0.5), 4).tolist()
        [[0.5, 0.25, 0.0, 0.25]]
    """
    distance = jnp.abs(positions[:, None] - np.arange(n, dtype=np.float32)) % n
    distance = jnp.minimum(distance, n - distance)
    weights = jnp.maximum(0.0, 1.0 - distance * jnp.minimum(factor, 1.0))
    return weights / weights.sum(axis=1, keepdims=True)


@jax.custom_vjp
def rolled(image: Image, shift: Int[Array, " 2"]) -> Image:
    """Shift the picture down and to the right; pixels that leave enter on the other side.

    The gradient is rolled back, because JAX's own would be a scatter of single pixels.
    """
    return jnp.roll(image, shift, (0, 1))


rolled.defvjp(
    lambda image, shift: (jnp.roll(image, shift, (0, 1)), shift),
    lambda shift, gradient: (jnp.roll(gradient, -shift, (0, 1)), None),
)


def resample(image: Image, rows: jax.Array, columns: jax.Array, *, value: float | None) -> Image:
    """Read both axes of a picture through weights.

    Args:
        image: [height, width, channels].
        rows: [out, height] weights.
        columns: [out, width] weights.
        value: Value outside of the picture, where weights sum to less than 1; None where all
            of them sum to 1.

    Returns:
        [out, out, channels].
    """
    inside = image if value is None else image - value
    result = jnp.einsum("yh,hwc,xw->yxc", rows, inside, columns)
    return result if value is None else result + value
