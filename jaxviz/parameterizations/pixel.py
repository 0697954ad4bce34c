"""The latent is the picture itself."""

from __future__ import annotations

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from pydantic import Field

from jaxviz.parameterizations.base import Parameterization


class Pixel(Parameterization):
    """One number per pixel and channel.

    Attributes:
        middle: Value of the start, in the preset's units.
        noise: Spread of the start around the middle, in the preset's units; 0 is plain grey.
        distribution: `uniform` within ± `noise`, or `normal` with `noise` as standard deviation.

    Example:
        >>> start = Pixel(noise=0.125).init(jax.random.key(0), (4, 4, 3))
        >>> bool(jnp.all(jnp.abs(start) <= 0.125))
        True
    """

    is_picture: ClassVar[bool] = True
    kind: Literal["pixel"] = "pixel"
    middle: float = 0.0
    noise: float = Field(default=0.0, ge=0)
    distribution: Literal["uniform", "normal"] = "uniform"

    def init(self, key: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
        """A starting latent, [height, width, channels]."""
        if self.noise == 0:
            return jnp.full(shape, self.middle, jnp.float32)
        if self.distribution == "normal":
            return self.middle + self.noise * jax.random.normal(key, shape)
        return self.middle + self.noise * jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)

    def to_image(self, latent: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
        """The image, [height, width, channels] in the preset's units."""
        return self.finish(latent)

    def from_image(self, image: jax.Array) -> jax.Array:
        """The latent of an image [height, width, channels] in the preset's units."""
        return self.unfinish(image)
