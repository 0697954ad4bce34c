"""Transforms of pixels that do not treat each axis by itself."""

from __future__ import annotations

from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field, NonNegativeFloat

from jaxviz.transforms.base import Transform, drawn_from
from jaxviz.transforms.resampling import Image, Outside


class Rotate(Transform):
    """Rotation about the middle by a random angle, bilinear.

    Attributes:
        degrees: Angles to draw from, anticlockwise.
        between: Whether any angle from the minimum to the maximum may be drawn.
        outside: Pixels that enter at the corners.
        value: Their value, in the preset's units, for `outside` `value`.

    Example:
        >>> turn = Rotate(degrees=(-10.0, 10.0), between=True)
        >>> turn.apply(jax.random.key(0), jnp.zeros((8, 8, 3)), 0.0).shape
        (8, 8, 3)
    """

    kind: Literal["rotate"] = "rotate"
    degrees: Annotated[tuple[float, ...], Field(min_length=1)]
    between: bool = False
    outside: Outside = "value"
    value: float = 0.5

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """Rotate by one random draw."""
        height, width, channels = image.shape
        if min(height, width) == 1:
            return image
        angle = drawn_from(key, self.degrees, self.between) * (np.pi / 180)
        cosine, sine = jnp.cos(angle), jnp.sin(angle)
        y = (np.arange(height) - (height - 1) / 2)[:, None]
        x = (np.arange(width) - (width - 1) / 2)[None]
        rows = cosine * y + sine * x + (height - 1) / 2
        columns = cosine * x - sine * y + (width - 1) / 2
        flat = image.reshape(-1, channels)
        if self.outside == "edge":
            rows, columns = jnp.clip(rows, 0, height - 1), jnp.clip(columns, 0, width - 1)
        top, left = jnp.floor(rows), jnp.floor(columns)
        result = jnp.zeros_like(image)
        for down in (0, 1):
            for right in (0, 1):
                row, column = top + down, left + right
                weight = (1 - jnp.abs(rows - row)) * (1 - jnp.abs(columns - column))
                inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
                index = (row % height * width + column % width).astype(jnp.int32)
                pixel = flat[index.reshape(-1)].reshape(image.shape)
                if self.outside == "value":
                    pixel = jnp.where(inside[..., None], pixel, self.value)
                result = result + weight[..., None] * pixel
        return result


class Noise(Transform):
    """Noise added to every pixel, in the preset's units.

    Attributes:
        normal: Standard deviation of normal noise.
        uniform: Half width of uniform noise.

    Example:
        >>> noisy = Noise(normal=0.1).apply(jax.random.key(0), jnp.zeros((8, 8, 3)), 0.0)
        >>> 0.05 < float(noisy.std()) < 0.15
        True
    """

    kind: Literal["noise"] = "noise"
    normal: NonNegativeFloat = 0.0
    uniform: NonNegativeFloat = 0.0

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """Add one random draw."""
        first, second = jax.random.split(key)
        if self.normal:
            image = image + self.normal * jax.random.normal(first, image.shape)
        if self.uniform:
            image = image + self.uniform * jax.random.uniform(second, image.shape, minval=-1.0)
        return image
