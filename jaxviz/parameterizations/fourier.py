"""The latent is the picture's spectrum."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from pydantic import Field

from jaxviz.errors import ImageSizeError
from jaxviz.parameterizations.base import Parameterization

#: Shortest wavelength, in pixels, at which an envelope may stop to rise. A first layer's
#: receptive field is smaller, but people look at larger structures.
_NARROWEST = 12


class Fourier(Parameterization):
    """Real and imaginary parts of each channel's half spectrum, scaled like natural images.

    Natural images fall off roughly as 1/frequency. Multiplying by that envelope lets coarse and
    fine detail learn together. Steps of pixels alone end in noise.

    Attributes:
        decay: Exponent of the envelope; 0 leaves white noise.
        coarsest: Longest wavelength, in pixels, up to which the envelope rises; the longer side
            of the picture where left out.
        within_field: Whether `coarsest` is the layer's receptive field. A filter cannot
            distinguish coarser structures, and a shallow one needs its steps in finer ones.
        sd: Standard deviation of the starting coefficients.
        gain: Factor of the image before its channels are mixed.
        standardise: Whether spectrum and image are scaled to mean 0 and standard deviation 1,
            so that only directions are learned.

    Example:
        >>> latent = Fourier().init(jax.random.key(0), (32, 32, 3))
        >>> latent.shape, Fourier().to_image(latent, (32, 32, 3)).shape
        ((2, 3, 32, 17), (32, 32, 3))

    References:
        Olah et al., Feature Visualization, Distill 2017; lucid `fft_image`.
    """

    kind: Literal["fourier"] = "fourier"
    decay: float = Field(default=1.0, ge=0)
    coarsest: float | None = Field(default=None, ge=1)
    within_field: bool = False
    sd: float = Field(default=0.01, ge=0)
    gain: float = Field(default=0.25, gt=0)
    standardise: bool = False

    def check(self, shape: tuple[int, int, int]) -> None:
        """Raise ConfigError or ImageSizeError if images of a shape cannot be made."""
        super().check(shape)
        if shape[0] * shape[1] < 2:
            raise ImageSizeError(
                f"an image of {shape[0]}×{shape[1]} has no spectrum",
                hint="The least size that works is 2: --size 2.",
            )

    def at(self, side: int, field: int | None, *, level: bool) -> Fourier:
        """Follow the receptive field where `within_field`; standardise where `level`."""
        changes: dict[str, float | bool] = {}
        if self.within_field and field is not None:
            changes["coarsest"] = float(max(_NARROWEST, min(field, side)))
        if level:
            changes["standardise"] = True
        return self.model_copy(update=changes)

    def init(self, key: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
        """A starting latent, [2, channels, height, width // 2 + 1]."""
        height, width, channels = shape
        return self.sd * jax.random.normal(key, (2, channels, height, width // 2 + 1))

    def to_image(self, latent: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
        """The image, [height, width, channels] in the preset's units."""
        size = (shape[0], shape[1])
        spectrum = standardised(latent) if self.standardise else latent
        spectrum = spectrum * self.envelope(size)
        values = jnp.fft.irfft2(jax.lax.complex(spectrum[0], spectrum[1]), s=size)
        values = standardised(values) if self.standardise else values * self.gain
        return self.finish(jnp.moveaxis(values, 0, -1))

    def from_image(self, image: jax.Array) -> jax.Array:
        """The latent of an image [height, width, channels] in the preset's units."""
        values = jnp.moveaxis(self.unfinish(image), -1, 0)
        gain = 1.0 if self.standardise else self.gain
        size = (image.shape[0], image.shape[1])
        spectrum = jnp.fft.rfft2(values / gain) / self.envelope(size)
        return jnp.stack([spectrum.real, spectrum.imag]).astype(jnp.float32)

    def envelope(self, size: tuple[int, int]) -> Float[np.ndarray, "height half_width"]:
        """The factor of each coefficient for a picture of (height, width) pixels."""
        return envelope(size, decay=self.decay * self.temper, coarsest=self.coarsest)


def frequencies(size: tuple[int, int]) -> Float[np.ndarray, "height half_width"]:
    """Frequency of each coefficient that `rfft2` keeps, in cycles per pixel.

    Args:
        size: (height, width) of the image, in pixels.

    Returns:
        From 0 to √½.

    Example:
        >>> frequencies((4, 6)).shape
        (4, 4)
    """
    height, width = size
    found: np.ndarray = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    return found


def envelope(
    size: tuple[int, int], *, decay: float = 1.0, coarsest: float | None = None
) -> Float[np.ndarray, "height half_width"]:
    """Weight each Fourier coefficient so that one step size suits every scale.

    Args:
        size: (height, width) of the image, in pixels.
        decay: Exponent of the fall with frequency.
        coarsest: Longest wavelength, in pixels, up to which the envelope rises; at most, and by
            default, the longer side. The product of maximum and minimum weight does not depend
            on it: fine detail gains as much as coarse detail loses.

    Returns:
        Positive weights on the half plane kept by `rfft2`. The mean and the lowest frequency
        have the maximum.

    Example:
        >>> weights = envelope((8, 8))
        >>> weights.shape, weights[0, :3].tolist()
        ((8, 5), [64.0, 64.0, 32.0])

    References:
        lucid `fft_image`: 1 / max(f, 1/max(w, h))^decay · √(w·h).
    """
    longest = min(max(size), coarsest or max(size))
    floor = np.maximum(frequencies(size), 1.0 / longest)
    gain = np.sqrt(size[0] * size[1]) * (max(size) / longest) ** (decay / 2)
    weights: np.ndarray = (gain / floor**decay).astype(np.float32)
    return weights


def standardised(values: jax.Array) -> jax.Array:
    """Shift and scale values to mean 0 and standard deviation 1.

    Example:
        >>> standardised(jnp.array([1.0, 3.0])).tolist()
        [-1.0, 1.0]
    """
    values = values - jnp.mean(values)
    return values * jax.lax.rsqrt(jnp.maximum(jnp.mean(jnp.square(values)), 1e-12))
