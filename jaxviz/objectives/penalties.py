"""What a picture should not have; subtracted from an objective.

All are taken of the picture in the preset's units, before any transform.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from pydantic import Field, PositiveInt

from jaxviz.objectives.activations import Activations
from jaxviz.objectives.base import Objective


class Penalty(Objective):
    """An objective that measures no activation, and so does not count in a score."""

    def score(self) -> Objective | None:
        """Nothing: a penalty does not measure the picture."""
        return None

    def __str__(self) -> str:
        """Its name."""
        return self.kind.replace("_", " ")


class TotalVariation(Penalty):
    """How much neighbouring pixels differ, per pixel and channel: noise has much of it.

    Attributes:
        beta: 1 adds absolute differences along both axes (tf-keras-vis, TensorFlow);
            otherwise Σ (Δx² + Δy²)^(β/2) over the pixels that have both neighbours
            (keras-vis, Mahendran & Vedaldi 2016).
    """

    places: ClassVar[tuple[str, ...]] = ("beta",)
    kind: Literal["total_variation"] = "total_variation"
    beta: float = Field(default=1.0, ge=1)

    def value(self, seen: Activations) -> jax.Array:
        """The sum over all pixels and channels, over their number."""
        x = seen.picture
        down, right = x[1:] - x[:-1], x[:, 1:] - x[:, :-1]
        if self.beta == 1:
            return (jnp.sum(jnp.abs(down)) + jnp.sum(jnp.abs(right))) / x.size
        if x.shape[0] == 1:  # a signal varies along its length alone
            squares = jnp.square(right)
        else:
            squares = jnp.square(down[:, :-1]) + jnp.square(right[:-1])
        if self.beta != 2:
            # the power's gradient is not finite at zero
            squares = jnp.maximum(squares, 1e-12) ** (self.beta / 2)
        return jnp.sum(squares) / x.size


class Norm(Penalty):
    """The picture's p-norm: how far its pixels lie from zero.

    Attributes:
        p: Exponent.
        over: What the norm is divided by: `mean` by n^(1/p), the mean's form
            (tf-keras-vis); `size` by n (keras-vis).
    """

    places: ClassVar[tuple[str, ...]] = ("p",)
    kind: Literal["norm"] = "norm"
    p: float = Field(default=2.0, ge=1)
    over: Literal["mean", "size"] = "mean"

    def value(self, seen: Activations) -> jax.Array:
        """The norm over all pixels and channels, over their number's root."""
        x = seen.picture
        if self.p == 1:
            return jnp.mean(jnp.abs(x))
        # scaled by the largest, or sixth powers of pixel values overflow float32
        largest = jax.lax.stop_gradient(jnp.maximum(jnp.max(jnp.abs(x)), 1e-12))
        powers = jnp.sum(jnp.abs(x / largest) ** self.p)
        norm = largest * jnp.maximum(powers, 1e-12) ** (1 / self.p)
        return norm / (x.size ** (1 / self.p) if self.over == "mean" else x.size)

    def __str__(self) -> str:
        """Which norm."""
        return f"L{self.p:g} norm"


class LatentNorm(Penalty):
    """Mean square of what is optimised: keeps a picture near its parameterization's middle."""

    kind: Literal["latent_norm"] = "latent_norm"

    def value(self, seen: Activations) -> jax.Array:
        """The mean over all numbers of the latent."""
        leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(seen.latent)]
        return sum(jnp.sum(jnp.square(leaf)) for leaf in leaves) / max(  # type: ignore[return-value]
            1, sum(leaf.size for leaf in leaves)
        )


class Border(Penalty):
    """Mean square distance from the picture's own mean in a frame around it.

    Attributes:
        width: Of the frame, in pixels.
    """

    places: ClassVar[tuple[str, ...]] = ("width",)
    kind: Literal["border"] = "border"
    width: PositiveInt = 8

    def value(self, seen: Activations) -> jax.Array:
        """The mean over the frame."""
        height, width = seen.picture.shape[:2]
        rows, columns = jnp.arange(height), jnp.arange(width)
        away = jnp.minimum(rows, height - 1 - rows)[:, None]
        if height == 1:  # a signal has two ends, and no sides
            away = away + width
        inward = jnp.minimum(away, jnp.minimum(columns, width - 1 - columns)[None])
        frame = (inward < self.width)[..., None]
        squares = jnp.square(seen.picture - seen.picture.mean(axis=(0, 1)))
        return jnp.sum(frame * squares) / (jnp.sum(frame) * seen.picture.shape[-1])
