"""The latent is the phases of the picture's spectrum; its magnitudes are fixed."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from pydantic import Field

from jaxviz.errors import ConfigError
from jaxviz.parameterizations.base import Parameterization
from jaxviz.parameterizations.fourier import envelope, frequencies, standardised

#: Highest frequency of a two-dimensional image, in cycles per pixel.
_NYQUIST = float(np.hypot(0.5, 0.5))
#: Frequencies at which a measured spectrum is stored.
_RADII = 64


class Phase(Parameterization):
    """Magnitude-constrained pictures (MACO): every frequency is as strong as in natural images.

    Attributes:
        spectrum: `natural` falls as 1/frequency, for one or three channels. Otherwise magnitudes
            at evenly spaced frequencies from 0 to √½ cycles per pixel, as `measured_spectrum`
            returns them.
        sd: Standard deviation of the starting phases, in radians.

    Example:
        >>> kind = Phase(spectrum="natural", colour="natural", squash="sigmoid")
        >>> latent = kind.init(jax.random.key(0), (32, 32, 3))
        >>> latent.shape, kind.to_image(latent, (32, 32, 3)).shape
        ((3, 32, 17), (32, 32, 3))

    References:
        Fel et al., Unlocking Feature Visualization for Deeper Networks with MAgnitude
        Constrained Optimization, 2023.
    """

    kind: Literal["phase"] = "phase"
    spectrum: Literal["natural"] | tuple[float, ...] | None = None
    sd: float = Field(default=1.0, ge=0)

    def check(self, shape: tuple[int, int, int]) -> None:
        """Raise ConfigError if images of a shape cannot be made."""
        super().check(shape)
        hint = "Give images like those the network was trained on: --images FOLDER."
        if self.spectrum is None:
            raise ConfigError("pictures of fixed magnitudes need a spectrum, found none", hint=hint)
        if self.spectrum == "natural" and shape[2] not in (1, 3):
            raise ConfigError(f"images of {shape[2]} channels have no natural spectrum", hint=hint)

    def init(self, key: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
        """Starting phases in radians, [channels, height, width // 2 + 1]."""
        height, width, channels = shape
        return self.sd * jax.random.normal(key, (channels, height, width // 2 + 1))

    def to_image(self, latent: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
        """The image, [height, width, channels] in the preset's units."""
        size = (shape[0], shape[1])
        phase, magnitude = standardised(latent), self._magnitude(size)
        spectrum = jax.lax.complex(magnitude * jnp.cos(phase), magnitude * jnp.sin(phase))
        values = standardised(jnp.fft.irfft2(spectrum, s=size))
        return self.finish(jnp.moveaxis(values, 0, -1))

    def from_image(self, image: jax.Array) -> jax.Array:
        """The phases of an image [height, width, channels]; its magnitudes are lost."""
        return jnp.angle(jnp.fft.rfft2(jnp.moveaxis(self.unfinish(image), -1, 0)))

    def _magnitude(self, size: tuple[int, int]) -> Float[np.ndarray, "height half_width"]:
        if not isinstance(self.spectrum, tuple):
            return envelope(size)
        radii = np.linspace(0, _NYQUIST, len(self.spectrum))
        found: np.ndarray = np.interp(frequencies(size), radii, self.spectrum)
        return found.astype(np.float32)


def measured_spectrum(images: np.ndarray) -> tuple[float, ...]:
    """Mean magnitude of images' spectra by frequency, for `Phase.spectrum`.

    Args:
        images: [image, height, width, channels], in any units.

    Returns:
        Magnitudes at 64 evenly spaced frequencies from 0 to √½ cycles per pixel; the maximum
        is 1.

    Example:
        >>> smooth = np.cumsum(np.random.default_rng(0).normal(size=(3, 32, 32, 1)), axis=1)
        >>> found = measured_spectrum(np.cumsum(smooth, axis=2))
        >>> found[2] > 10 * found[30]
        True
    """
    centred = images - images.mean(axis=(1, 2), keepdims=True)
    magnitude = np.abs(np.fft.rfft2(centred, axes=(1, 2))).mean(axis=(0, 3))
    place = frequencies((images.shape[1], images.shape[2]))
    radii = np.linspace(0, _NYQUIST, _RADII)
    nearest = np.abs(place[..., None] - radii).argmin(axis=-1)
    counts = np.bincount(nearest.ravel(), minlength=_RADII)
    sums = np.bincount(nearest.ravel(), magnitude.ravel(), minlength=_RADII)
    known = np.flatnonzero(counts)
    means = np.interp(np.arange(_RADII), known, sums[known] / counts[known])
    return tuple(float(f"{m:.6g}") for m in means / max(means.max(), 1e-12))
