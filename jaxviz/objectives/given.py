"""Objectives that are about an image that somebody gives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer

from jaxviz.errors import ConfigError
from jaxviz.objectives.activations import Activations
from jaxviz.objectives.base import Objective


def _described(image: np.ndarray | str) -> Any:
    """What a manifest says of an image: what it is, without its pixels."""
    if isinstance(image, str):
        return image
    digest = hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()
    return {"shape": list(image.shape), "sha256": digest}


#: [height, width, channels] in the network's input units, of the picture's own size; or the
#: name of a file until it is read.
GivenImage = Annotated[
    np.ndarray | str,
    BeforeValidator(lambda x: x if isinstance(x, str) else np.asarray(x, np.float32)),
    PlainSerializer(_described),
    Field(repr=False),
]


class _OfAnImage(Objective):
    """Compares what the network makes of the picture and of a given image."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    places: ClassVar[tuple[str, ...]] = ("image",)
    image: GivenImage
    layer: str | None = None

    def layers(self) -> tuple[str | None, ...]:
        """The one layer."""
        return (self.layer,)

    def with_images(self, read: Callable[[str], np.ndarray]) -> Objective:
        """The same with the image that is only named read."""
        if not isinstance(self.image, str):
            return self
        return self.model_copy(update={"image": read(self.image)})

    def _both(self, seen: Activations) -> tuple[jax.Array, jax.Array]:
        if isinstance(self.image, str) or self.image.shape != seen.picture.shape:
            found = self.image if isinstance(self.image, str) else self.image.shape
            raise ConfigError(
                f"{self.kind} needs an image of the picture's shape {seen.picture.shape}, "
                f"found {found}"
            )
        return seen.layer(self.layer), seen.of(jnp.asarray(self.image)).layer(self.layer)

    def __str__(self) -> str:
        """Its name and layer."""
        return self.kind + (f" of {self.layer}" if self.layer else "")


class Inversion(_OfAnImage):
    """What of an image a layer still knows: minus the relative distance of its activations.

    Attributes:
        image: [height, width, channels] in the network's units, of the picture's size; or the
            name of an image file.
        layer: Name of a layer; the unit's own where left out.

    References:
        Mahendran & Vedaldi, Understanding Deep Image Representations by Inverting Them, 2014.
    """

    kind: Literal["inversion"] = "inversion"

    def value(self, seen: Activations) -> jax.Array:
        """0 where the activations are the same, -1 where they are as far apart as from zero."""
        own, other = self._both(seen)
        distance = jnp.sum(jnp.square(own - other))
        return -distance / jnp.maximum(jnp.sum(jnp.square(other)), 1e-12)


class Caricature(_OfAnImage):
    """What a layer sees in an image, more of it.

    Attributes:
        image: [height, width, channels] in the network's units, of the picture's size; or the
            name of an image file.
        layer: Name of a layer; the unit's own where left out.
        cosine: Exponent of the cosine that the product is weighted with.

    References:
        `dot_compare` of lucid, `Caricature` notebook.
    """

    kind: Literal["caricature"] = "caricature"
    cosine: float = Field(default=1.0, ge=0)

    def value(self, seen: Activations) -> jax.Array:
        """Product of the activations, weighted with their cosine; the image's own scores 1."""
        own, other = self._both(seen)
        product = jnp.sum(own * other)
        lengths = jnp.sum(jnp.square(own)) * jnp.sum(jnp.square(other))
        cosine = product * jax.lax.rsqrt(jnp.maximum(lengths, 1e-12))
        scale = jnp.maximum(jnp.sum(jnp.square(other)), 1e-12)
        return product / scale * jnp.maximum(cosine, 0.1) ** self.cosine
