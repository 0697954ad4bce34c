"""Difference between several pictures of one unit."""

from __future__ import annotations

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp

from jaxviz.objectives.activations import REPLICATES, Activations
from jaxviz.objectives.base import Objective


class Diversity(Objective):
    """Difference between a unit's replicates in the other channels that they excite.

    A unit that responds to several things shows one of them in each picture. The objective
    needs a preset with `replicates` of 2 or more.

    Attributes:
        layer: Name of a layer; the unit's own where left out.

    Example:
        >>> from jaxviz.objectives import Channel
        >>> print(Channel() + 2 * Diversity(layer="conv3"))
        channel + 2·diversity in conv3

    References:
        Olah et al., Feature Visualization, Distill 2017, "Diversity". This is the negative of
        lucid's `diversity`, so that it is added and not subtracted.
    """

    places: ClassVar[tuple[str, ...]] = ("layer",)
    compares_replicates: ClassVar[bool] = True
    kind: Literal["diversity"] = "diversity"
    layer: str | None = None

    def value(self, activations: Activations) -> jax.Array:
        """Minus the mean cosine between this picture's Gram matrix and the other replicates'.

        Returns:
            A scalar between -1 and 1.
        """
        values = activations.layer(self.layer)
        flat = values.reshape(-1, values.shape[-1])
        gram = flat.T @ flat
        gram = gram * jax.lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(gram)), 1e-12))
        others = jax.lax.all_gather(gram, REPLICATES)
        cosines = jnp.sum(others * gram, axis=(1, 2))
        return -(jnp.sum(cosines) - jnp.sum(jnp.square(gram))) / max(1, len(others) - 1)

    def layers(self) -> tuple[str | None, ...]:
        """The one layer."""
        return (self.layer,)

    def score(self) -> Objective | None:
        """None: a difference between pictures measures no picture."""
        return None

    def __str__(self) -> str:
        """Name and layer."""
        return "diversity" + (f" in {self.layer}" if self.layer else "")
