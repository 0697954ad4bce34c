"""The correlation between an image's channels, and how a latent is mixed by it.

Channels of natural images are correlated: most of the contrast is grey. A latent with
uncorrelated channels is mixed by a square root of that correlation. One step then moves grey
as far as it varies in photographs, and saturated colours less.
"""

from __future__ import annotations

from functools import reduce
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

#: Square root of the colour correlation of ImageNet, from lucid (`param/color.py`); columns
#: are the uncorrelated channels: grey, blue to orange, green to purple.
IMAGENET = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
#: Correlation of bands that are far apart, close to the one of ImageNet's colours.
_SHARED = 0.85
# Few channels are mixed by sums of planes, which XLA fuses with the loops around. A matrix
# product would take a tenth of a small network's step on a CPU, and a TPU would round its inputs.
_FEW_CHANNELS = 4


def channel_matrix(
    colour: Literal["natural", "none"] | tuple[tuple[float, ...], ...],
    shape: tuple[int, ...],
    *,
    temper: float = 1.0,
) -> Float[np.ndarray, "channels channels"] | None:
    """The matrix that mixes the channels of a latent.

    Args:
        colour: As in `Parameterization`.
        shape: (height, width, channels) of the image; an image of one row is a signal.
        temper: Exponent of the strengths of the uncorrelated channels.

    Returns:
        float32, its rows are the image's channels; None where nothing is mixed. The strongest
        column has length 1.

    Example:
        >>> matrix = channel_matrix("natural", (8, 8, 3))
        >>> np.linalg.norm(matrix, axis=0).max().round(3)
        np.float32(1.0)
        >>> channel_matrix("natural", (1, 100, 3)) is None
        True
    """
    channels, signal = shape[-1], shape[0] == 1
    if colour == "none" or (colour == "natural" and (signal or channels == 1)):
        return None
    if colour == "natural":
        root = IMAGENET if channels == 3 else band_root(channels)
    else:
        root = np.asarray(colour)
    strengths = np.linalg.norm(root, axis=0)
    tempered: np.ndarray = root * strengths ** (temper - 1) / strengths.max() ** temper
    return tempered.astype(np.float32)


def mixed(values: Float[Array, "h w c"], matrix: np.ndarray) -> Float[Array, "h w c"]:
    """Multiply every pixel's channels by a matrix, whose rows are the new channels.

    Example:
        >>> mixed(jnp.array([[[1.0, 2.0]]]), np.array([[1, 1], [0, 3]], np.float32)).tolist()
        [[[3.0, 6.0]]]
    """
    channels = values.shape[-1]
    # Outside of a compiled function, JAX would compile each operation below by itself.
    if channels > _FEW_CHANNELS or isinstance(values, np.ndarray):
        return values @ matrix.T
    planes = jax.lax.split(values, (1,) * channels, axis=-1)
    new = (reduce(jnp.add, (p * m for p, m in zip(planes, row, strict=True))) for row in matrix)
    return jnp.concatenate(list(new), axis=-1)


def band_root(channels: int) -> Float[np.ndarray, "channels channels"]:
    """A square root of the correlation between bands of natural images.

    Most of the contrast is common to all bands, as in ImageNet's colours; neighbours share the
    rest.

    Args:
        channels: Number of bands.

    Returns:
        Rows are bands; columns are uncorrelated directions, the strongest first.

    Example:
        >>> root = band_root(5)
        >>> (root @ root.T).diagonal().round(6)
        array([1., 1., 1., 1., 1.])
    """
    apart = np.abs(np.subtract.outer(np.arange(channels), np.arange(channels)))
    vectors, values, _ = np.linalg.svd(_SHARED + (1 - _SHARED) * np.exp(-apart))
    root: np.ndarray = vectors * np.sqrt(values)
    return root


def measured_colour(images: np.ndarray) -> tuple[tuple[float, ...], ...]:
    """A square root of the channels' covariance over images.

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
    # A direction without variance would make the matrix singular and its inverse infinite.
    root = vectors * np.sqrt(np.maximum(values, values.max() * 1e-6))
    return tuple(tuple(float(x) for x in row) for row in root)
