"""The picture itself is what is optimised."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from pydantic import BaseModel, ConfigDict, Field


class Pixel(BaseModel):
    """One number per pixel and channel, unbounded.

    Attributes:
        middle: Where the start lies, in the preset's units.
        noise: The start is uniform within ± this around the middle; 0 is plain grey.

    Example:
        >>> start = Pixel(noise=0.125).init(jax.random.key(0), (4, 4, 3))
        >>> bool(jnp.all(jnp.abs(start) <= 0.125))
        True
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    kind: Literal["pixel"] = "pixel"
    middle: float = 0.0
    noise: float = Field(default=0.0, ge=0)

    def init(self, key: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
        """A starting latent for an image of [height, width, channels]."""
        if self.noise == 0:
            return jnp.full(shape, self.middle, jnp.float32)
        return self.middle + self.noise * jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)

    def to_image(self, latent: jax.Array) -> jax.Array:
        """The image [height, width, channels] in the preset's units."""
        return latent

    def from_image(self, image: jax.Array) -> jax.Array:
        """The latent of an image."""
        return image
