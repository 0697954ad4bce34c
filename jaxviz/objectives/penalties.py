"""Penalties: unwanted properties of a picture, subtracted from an objective.

All are computed on the picture in the preset's units, before any transform.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from pydantic import Field, PositiveInt

from jaxviz.objectives.activations import Activations
from jaxviz.objectives.base import Objective


class Penalty(Objective):
    """An objective that reads no activation, and so does not count in a score."""

    def score(self) -> Objective | None:
        """None: a penalty does not measure a picture."""
        return None

    def __str__(self) -> str:
        """Name."""
        return self.kind.replace("_", " ")


class TotalVariation(Penalty):
    """Mean difference between neighbouring pixels; large for noise.

    Attributes:
        beta: 1 adds absolute differences along both axes (tf-keras-vis, TensorFlow);
            otherwise Σ (Δx² + Δy²)^(β/2) over the pixels that have both neighbours
            (keras-vis, Mahendran & Vedaldi 2016).

    Example:
        >>> print(-0.1 * TotalVariation(beta=2))
        -0.1·total variation
    """

    places: ClassVar[tuple[str, ...]] = ("beta",)
    kind: Literal["total_variation"] = "total_variation"
    beta: float = Field(default=1.0, ge=1)

    def value(self, activations: Activations) -> jax.Array:
        """The sum over all pixels and channels, divided by their number: a scalar ≥ 0."""
        x = activations.picture
        down, right = x[1:] - x[:-1], x[:, 1:] - x[:, :-1]
        if self.beta == 1:
            return (jnp.sum(jnp.abs(down)) + jnp.sum(jnp.abs(right))) / x.size
        if x.shape[0] == 1:  # a signal varies along its length alone
            squares = jnp.square(right)
        else:
            squares = jnp.square(down[:, :-1]) + jnp.square(right[:-1])
        if self.beta != 2:
            # The gradient of the power is not finite at zero.
            squares = jnp.maximum(squares, 1e-12) ** (self.beta / 2)
        return jnp.sum(squares) / x.size


class Norm(Penalty):
    """p-norm of the picture: the distance of its pixels from zero.

    Attributes:
        p: Exponent.
        over: Divisor of the norm over n values: `mean` is n^(1/p), which gives the mean's form
            (tf-keras-vis); `size` is n (keras-vis).

    Example:
        >>> print(Norm(p=6))
        L6 norm
    """

    places: ClassVar[tuple[str, ...]] = ("p",)
    kind: Literal["norm"] = "norm"
    p: float = Field(default=2.0, ge=1)
    over: Literal["mean", "size"] = "mean"

    def value(self, activations: Activations) -> jax.Array:
        """The norm over all pixels and channels, divided as `over` says: a scalar ≥ 0."""
        x = activations.picture
        if self.p == 1:
            return jnp.mean(jnp.abs(x))
        # Divided by the maximum, because sixth powers of pixel values overflow float32.
        largest = jax.lax.stop_gradient(jnp.maximum(jnp.max(jnp.abs(x)), 1e-12))
        powers = jnp.sum(jnp.abs(x / largest) ** self.p)
        norm = largest * jnp.maximum(powers, 1e-12) ** (1 / self.p)
        return norm / (x.size ** (1 / self.p) if self.over == "mean" else x.size)

    def __str__(self) -> str:
        """The exponent."""
        return f"L{self.p:g} norm"


class LatentNorm(Penalty):
    """Mean square of the latent: keeps a picture near the middle of its parameterization.

    Example:
        >>> print(LatentNorm())
        latent norm
    """

    kind: Literal["latent_norm"] = "latent_norm"

    def value(self, activations: Activations) -> jax.Array:
        """The mean over all numbers of the latent, a scalar ≥ 0."""
        leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(activations.latent)]
        squares = sum((jnp.sum(jnp.square(leaf)) for leaf in leaves), 0)
        return squares / max(1, sum(leaf.size for leaf in leaves))  # type: ignore[return-value]


class Border(Penalty):
    """Mean square deviation from the picture's mean within a frame at its border.

    Attributes:
        width: Width of the frame, in pixels.

    Example:
        >>> print(Border(width=4))
        border
    """

    places: ClassVar[tuple[str, ...]] = ("width",)
    kind: Literal["border"] = "border"
    width: PositiveInt = 8

    def value(self, activations: Activations) -> jax.Array:
        """The mean over the frame, a scalar ≥ 0."""
        picture = activations.picture
        height, width = picture.shape[:2]
        rows, columns = jnp.arange(height), jnp.arange(width)
        away = jnp.minimum(rows, height - 1 - rows)[:, None]
        if height == 1:  # a signal has two ends, and no sides
            away = away + width
        inward = jnp.minimum(away, jnp.minimum(columns, width - 1 - columns)[None])
        frame = (inward < self.width)[..., None]
        squares = jnp.square(picture - picture.mean(axis=(0, 1)))
        return jnp.sum(frame * squares) / (jnp.sum(frame) * picture.shape[-1])
