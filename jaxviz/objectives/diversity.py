"""How much several pictures of one unit differ."""

from __future__ import annotations

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp

from jaxviz.objectives.activations import REPLICATES, Activations
from jaxviz.objectives.base import Objective


class Diversity(Objective):
    """How much a unit's replicates differ in what else of a layer they excite.

    Where a unit looks for several things, its pictures show one of them each. It needs a
    preset with `replicates` of 2 or more.

    Attributes:
        layer: Name of a layer; the unit's own where left out.

    References:
        Olah et al., Feature Visualization, Distill 2017, "Diversity"; lucid `diversity`, of
        which this is the negative, so that it is added and not subtracted.
    """

    places: ClassVar[tuple[str, ...]] = ("layer",)
    kind: Literal["diversity"] = "diversity"
    layer: str | None = None

    def value(self, seen: Activations) -> jax.Array:
        """Minus the mean cosine of this picture's Gram matrix with the other replicates'."""
        activation = seen.layer(self.layer)
        flat = activation.reshape(-1, activation.shape[-1])
        gram = flat.T @ flat
        gram = gram * jax.lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(gram)), 1e-12))
        others = jax.lax.all_gather(gram, REPLICATES)
        cosines = jnp.sum(others * gram, axis=(1, 2))
        return -(jnp.sum(cosines) - jnp.sum(jnp.square(gram))) / max(1, len(others) - 1)

    def layers(self) -> tuple[str | None, ...]:
        """The one layer."""
        return (self.layer,)

    def score(self) -> Objective | None:
        """Nothing: it compares pictures and measures none."""
        return None

    def __str__(self) -> str:
        """Its name and layer."""
        return "diversity" + (f" in {self.layer}" if self.layer else "")
