"""The base of every parameterization: the range of values and the mixing of channels."""

from __future__ import annotations

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from pydantic import BaseModel, ConfigDict, Field, model_validator

from jaxviz.errors import ConfigError
from jaxviz.parameterizations.colour import channel_matrix, mixed

#: Least distance from 0 and 1 at which the inverse of a sigmoid is taken.
_EDGE = 1e-4


class Parameterization(BaseModel):
    """Latent ↔ picture, how the optimised array becomes an image.

    A kind gives `init`, `to_image` and `from_image`. It ends `to_image` with `finish`, and
    begins `from_image` with `unfinish`.

    Attributes:
        kind: The parameterization's name in a document.
        colour: `natural` mixes three channels like the colours of ImageNet. For any other number
            of bands, it takes neighbours to be alike, as those of cameras are; it leaves signals
            alone. `none` mixes nothing. A matrix (its rows are channels) is used as it is.
        temper: Exponent of the colours' strengths and of an envelope; below 1 both are milder.
            Steps along the gradient pass through both twice, steps of Adam once.
        squash: `sigmoid` and `clip` keep values between 0 and 1. A clipped value passes its
            gradient back unchanged, or it could never return.
        centre: The picture of a latent of zeros, one value per channel: the mean of images
            like the training images. Where left out, the middle of the range (0 for `none`).
        stretch: Whether the minimum is mapped to 0 and the maximum to 1 afterwards.

    Example:
        >>> from jaxviz.parameterizations import Pixel
        >>> latent = Pixel(squash="sigmoid").init(jax.random.key(0), (4, 4, 3))
        >>> float(Pixel(squash="sigmoid").to_image(latent, (4, 4, 3)).mean())
        0.5
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    #: Whether the latent is the picture, so that a transformed picture can become the latent.
    is_picture: ClassVar[bool] = False
    kind: str
    colour: Literal["natural", "none"] | tuple[tuple[float, ...], ...] = "none"
    temper: float = Field(default=1.0, gt=0, le=1)
    squash: Literal["none", "sigmoid", "clip"] = "none"
    centre: tuple[float, ...] | None = None
    stretch: bool = False

    @model_validator(mode="after")
    def _centre_inside(self) -> Parameterization:
        inside = not self.centre or (0 < min(self.centre) and max(self.centre) < 1)
        if self.squash == "sigmoid" and not inside:
            raise ValueError(f"a sigmoid's centre lies between 0 and 1, found {self.centre}")
        return self

    def init(self, key: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
        """A starting latent.

        Args:
            key: Decides the random part.
            shape: (height, width, channels) of the image.
        """
        raise NotImplementedError

    def to_image(self, latent: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
        """The image of a latent.

        Args:
            latent: As `init` makes it.
            shape: (height, width, channels) of the image.

        Returns:
            [height, width, channels] in the preset's units.
        """
        raise NotImplementedError

    def from_image(self, image: jax.Array) -> jax.Array:
        """The latent of an image, the inverse of `to_image` as far as there is one.

        Args:
            image: [height, width, channels] in the preset's units.
        """
        raise NotImplementedError

    def at(self, side: int, field: int | None, *, level: bool) -> Parameterization:
        """The parameterization for a picture and a layer.

        Args:
            side: Side of the picture, in pixels.
            field: The layer's receptive field, in pixels; None is the whole picture.
            level: Whether pictures have mean 0 and one energy.
        """
        return self

    def check(self, shape: tuple[int, int, int]) -> None:
        """Raise an error if images of a shape cannot be made.

        Args:
            shape: (height, width, channels) of the image.

        Raises:
            ConfigError: If the colour matrix or the centre is for other channels.
            ImageSizeError: If the image is too small.
        """
        if not isinstance(self.colour, str) and np.shape(self.colour) != (shape[2],) * 2:
            rows, columns = (*np.shape(self.colour), 0)[:2]
            raise ConfigError(
                f"a colour matrix of {rows}×{columns} does not fit {shape[2]} channels"
            )

        if self.centre is not None and len(self.centre) != shape[2]:
            raise ConfigError(
                f"a centre of {len(self.centre)} values does not fit {shape[2]} channels"
            )

    def finish(self, values: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        """From uncorrelated, unbounded values to an image in the preset's units."""
        matrix = self._matrix(values.shape)
        if matrix is not None:
            values = mixed(values, matrix)
        if self.centre is not None:
            values = values + self._offset()
        if self.squash == "sigmoid":
            values = jax.nn.sigmoid(values)
        elif self.squash == "clip":
            values = values + jax.lax.stop_gradient(jnp.clip(values, 0, 1) - values)
        if self.stretch:
            values = values - values.min()
            values = values / jnp.maximum(values.max(), 1e-12)
        return values

    def unfinish(self, image: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        """The inverse of `finish`, but for `stretch`."""
        if self.squash == "sigmoid":
            inside = jnp.clip(image, _EDGE, 1 - _EDGE)
            image = jnp.log(inside) - jnp.log1p(-inside)
        if self.centre is not None:
            image = image - self._offset()
        matrix = self._matrix(image.shape)
        return image if matrix is None else mixed(image, np.linalg.inv(matrix))

    def _offset(self) -> np.ndarray:
        """What the centre adds before the squash, [channels]."""
        centre = np.asarray(self.centre, np.float32)
        return np.log(centre) - np.log1p(-centre) if self.squash == "sigmoid" else centre

    def _matrix(self, shape: tuple[int, ...]) -> np.ndarray | None:
        return channel_matrix(self.colour, shape, temper=self.temper)
