"""The picture's spectrum is what is optimised."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from pydantic import Field

from jaxviz.errors import ImageSizeError
from jaxviz.parameterizations.colour import Values


class Fourier(Values):
    """Real and imaginary parts of each channel's half spectrum, scaled like natural images.

    Natural images fall off roughly as 1/frequency. Dividing by that envelope lets coarse
    and fine detail learn together; a step per pixel would only ever make noise.

    Attributes:
        decay: Exponent of the envelope; 0 leaves white noise.
        coarsest: Longest wavelength, in pixels, up to which the envelope rises; the whole picture
            where left out.
        within_field: Whether it is the layer's receptive field: a filter cannot tell what is
            coarser than that, and a shallow one needs its steps where it looks.
        sd: Standard deviation of the starting coefficients.
        gain: What the image is multiplied with before its channels are mixed.
        standardise: Whether the spectrum and the image are brought to mean 0 and standard
            deviation 1, so that only directions are learned.

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
        """Raise ConfigError or ImageSizeError if such images cannot be made so."""
        super().check(shape)
        if shape[0] * shape[1] < 2:
            raise ImageSizeError(
                f"an image of {shape[0]}×{shape[1]} has no spectrum",
                hint="The least size that works is 2: --size 2.",
            )

    def init(self, key: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
        """A starting latent [2, channels, height, width // 2 + 1]."""
        height, width, channels = shape
        return self.sd * jax.random.normal(key, (2, channels, height, width // 2 + 1))

    def to_image(self, latent: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
        """The image [height, width, channels]."""
        size = (shape[0], shape[1])
        spectrum = standardised(latent) if self.standardise else latent
        spectrum = spectrum * self.envelope(size)
        values = jnp.fft.irfft2(jax.lax.complex(spectrum[0], spectrum[1]), s=size)
        values = standardised(values) if self.standardise else values * self.gain
        return self.finish(jnp.moveaxis(values, 0, -1))

    def from_image(self, image: jax.Array) -> jax.Array:
        """The latent of an image."""
        values = jnp.moveaxis(self.unfinish(image), -1, 0)
        gain = 1.0 if self.standardise else self.gain
        size = (image.shape[0], image.shape[1])
        spectrum = jnp.fft.rfft2(values / gain) / self.envelope(size)
        return jnp.stack([spectrum.real, spectrum.imag]).astype(jnp.float32)

    def envelope(self, size: tuple[int, int]) -> Float[np.ndarray, "height half_width"]:
        """What each coefficient is multiplied with for a picture of (height, width) pixels."""
        return envelope(size, decay=self.decay * self.temper, coarsest=self.coarsest)


def frequencies(size: tuple[int, int]) -> Float[np.ndarray, "height half_width"]:
    """Cycles per pixel of each coefficient that `rfft2` keeps.

    Example:
        >>> frequencies((4, 6)).shape
        (4, 4)
    """
    height, width = size
    return np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))


def envelope(
    size: tuple[int, int], *, decay: float = 1.0, coarsest: float | None = None
) -> Float[np.ndarray, "height half_width"]:
    """What each Fourier coefficient is multiplied with, so that one step size suits every scale.

    Args:
        size: (height, width) of the image, in pixels.
        decay: Exponent of the fall with frequency.
        coarsest: Longest wavelength that it rises to; at most, and by default, the longer side.
            The product of the largest and the least weight stays as it is: what coarse detail
            loses, fine detail gains.

    Returns:
        Positive weights on the half plane kept by `rfft2`; the largest are those of the
        mean and of the lowest frequency.

    References:
        lucid `fft_image`: 1 / max(f, 1/max(w, h))^decay · √(w·h).
    """
    longest = min(max(size), coarsest or max(size))
    floor = np.maximum(frequencies(size), 1.0 / longest)
    gain = np.sqrt(size[0] * size[1]) * (max(size) / longest) ** (decay / 2)
    return (gain / floor**decay).astype(np.float32)


def standardised(values: jax.Array) -> jax.Array:
    """Mean 0 and standard deviation 1."""
    values = values - jnp.mean(values)
    return values * jax.lax.rsqrt(jnp.maximum(jnp.mean(jnp.square(values)), 1e-12))
