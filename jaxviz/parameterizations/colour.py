"""How the channels of an image go together, and how its values are kept in range.

The channels of natural images are correlated: most of what there is to see is grey. A
latent whose channels are uncorrelated, mixed by a square root of that correlation, makes
one step as far in grey as pictures go, and less in garish colours.
"""

from __future__ import annotations

from functools import reduce
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from pydantic import BaseModel, ConfigDict, Field, model_validator

from jaxviz.errors import ConfigError

#: Square root of the colour correlation of ImageNet, from lucid (`param/color.py`); columns
#: are the uncorrelated channels: grey, blue to orange, green to purple.
IMAGENET = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
#: Correlation of bands that are far apart: about that of ImageNet's colours.
_SHARED = 0.85
# Up to so many channels they are mixed within the loops around: as a product of its own that takes
# a tenth of a small network's step each way on a CPU, and a TPU would round what it multiplies.
_FEW_CHANNELS = 4
#: Narrowest distance from black and white that a sigmoid's inverse is taken at.
_EDGE = 1e-4


class Values(BaseModel):
    """What parameterizations share: mixing of channels and range of values.

    Attributes:
        colour: `natural` mixes three channels as in ImageNet; of any other number of bands
            neighbours are taken to be alike, as those of cameras are, and those of signals are
            left alone; `none` mixes nothing; a matrix (rows are channels) is used as it is.
        temper: Exponent of the colours' strengths and of an envelope: below 1 both are milder.
            Steps along the gradient pass through them twice, Adam's once.
        squash: `sigmoid` and `clip` keep values between 0 and 1; a clipped value still passes
            its gradient back, or it could never return.
        centre: What a latent of zeros is, a value for each channel: the mean of images like
            those trained on. The middle of the range (0 for `none`) where left out.
        stretch: Whether the darkest value becomes 0 and the brightest 1 afterwards.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    kind: str
    colour: Literal["natural", "none"] | tuple[tuple[float, ...], ...] = "none"
    temper: float = Field(default=1.0, gt=0, le=1)
    squash: Literal["none", "sigmoid", "clip"] = "none"
    centre: tuple[float, ...] | None = None
    stretch: bool = False

    @model_validator(mode="after")
    def _centre_inside(self) -> Values:
        inside = not self.centre or (0 < min(self.centre) and max(self.centre) < 1)
        if self.squash == "sigmoid" and not inside:
            raise ValueError(f"a sigmoid's centre lies between 0 and 1, found {self.centre}")
        return self

    def check(self, shape: tuple[int, int, int]) -> None:
        """Raise ConfigError if images of this shape cannot be made so."""
        if not isinstance(self.colour, str) and np.shape(self.colour) != (shape[2],) * 2:
            raise ConfigError(
                f"a colour matrix of {np.shape(self.colour)} does not fit {shape[2]} channels"
            )

        if self.centre is not None and len(self.centre) != shape[2]:
            raise ConfigError(
                f"a centre of {len(self.centre)} values does not fit {shape[2]} channels"
            )

    def finish(self, values: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        """From uncorrelated, unbounded values to an image."""
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
        """The inverse of `finish`."""
        if self.squash == "sigmoid":
            inside = jnp.clip(image, _EDGE, 1 - _EDGE)
            image = jnp.log(inside) - jnp.log1p(-inside)
        if self.centre is not None:
            image = image - self._offset()
        matrix = self._matrix(image.shape)
        return image if matrix is None else mixed(image, np.linalg.inv(matrix))

    def _offset(self) -> np.ndarray:
        centre = np.asarray(self.centre, np.float32)
        return np.log(centre) - np.log1p(-centre) if self.squash == "sigmoid" else centre

    def _matrix(self, shape: tuple[int, ...]) -> np.ndarray | None:
        channels, signal = shape[-1], shape[0] == 1
        if self.colour == "none" or (self.colour == "natural" and (signal or channels == 1)):
            return None
        if self.colour == "natural":
            root = IMAGENET if channels == 3 else band_root(channels)
        else:
            root = np.asarray(self.colour)
        strengths = np.linalg.norm(root, axis=0)
        tempered = root * strengths ** (self.temper - 1) / strengths.max() ** self.temper
        return tempered.astype(np.float32)


def mixed(values: Float[Array, "h w c"], matrix: np.ndarray) -> Float[Array, "h w c"]:
    """Each pixel's channels times a matrix, whose rows are the new channels.

    Example:
        >>> mixed(jnp.array([[[1.0, 2.0]]]), np.array([[1, 1], [0, 3]], np.float32)).tolist()
        [[[3.0, 6.0]]]
    """
    channels = values.shape[-1]
    # of an array of NumPy's, too, each of the operations below would be compiled by itself
    if channels > _FEW_CHANNELS or isinstance(values, np.ndarray):
        return values @ matrix.T
    planes = jax.lax.split(values, (1,) * channels, axis=-1)
    new = (reduce(jnp.add, (p * m for p, m in zip(planes, row, strict=True))) for row in matrix)
    return jnp.concatenate(list(new), axis=-1)


def band_root(channels: int) -> Float[np.ndarray, "channels channels"]:
    """A square root of the correlation of so many bands, the strongest direction first.

    Most of what there is to see is in all bands, as in ImageNet's colours; the rest is shared
    by neighbours.

    Example:
        >>> root = band_root(5)
        >>> (root @ root.T).diagonal().round(6)
        array([1., 1., 1., 1., 1.])
    """
    apart = np.abs(np.subtract.outer(np.arange(channels), np.arange(channels)))
    vectors, values, _ = np.linalg.svd(_SHARED + (1 - _SHARED) * np.exp(-apart))
    return vectors * np.sqrt(values)


def measured_colour(images: np.ndarray) -> tuple[tuple[float, ...], ...]:
    """The square root of the channels' covariance over images.

    Args:
        images: [image, height, width, channels], in any units.

    Returns:
        A matrix for `colour`: rows are channels, columns uncorrelated directions, the
        strongest first.

    Example:
        >>> grey = np.random.default_rng(0).random((4, 8, 8, 1)) * np.ones(3)
        >>> [abs(round(x, 3)) for x in measured_colour(grey)[0][1:]]
        [0.0, 0.0]
    """
    pixels = images.reshape(-1, images.shape[-1]).astype(np.float64)
    covariance = np.cov(pixels, rowvar=False).reshape(images.shape[-1], images.shape[-1])
    vectors, values, _ = np.linalg.svd(covariance)
    # a direction that never occurs would make the matrix singular and its inverse infinite
    root = vectors * np.sqrt(np.maximum(values, values.max() * 1e-6))
    return tuple(tuple(float(x) for x in row) for row in root)
