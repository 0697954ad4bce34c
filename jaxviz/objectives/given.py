"""Objectives that compare the picture with a given image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer

from jaxviz.errors import ConfigError
from jaxviz.objectives.activations import Activations
from jaxviz.objectives.base import Objective


def _described(image: np.ndarray | str) -> object:
    """An image as a manifest names it: its shape and digest, without its pixels."""
    if isinstance(image, str):
        return image
    digest = hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()
    return {"shape": list(image.shape), "sha256": digest}


#: [height, width, channels] in the network's input units, as large as the picture; or the name
#: of a file until the file is read.
GivenImage = Annotated[
    np.ndarray | str,
    BeforeValidator(lambda x: x if isinstance(x, str) else np.asarray(x, np.float32)),
    PlainSerializer(_described),
    Field(repr=False),
]


class _OfAnImage(Objective):
    """Compares a layer's activations for the picture with those for a given image."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    places: ClassVar[tuple[str, ...]] = ("image",)
    image: GivenImage
    layer: str | None = None

    def layers(self) -> tuple[str | None, ...]:
        """The one layer."""
        return (self.layer,)

    def with_images(self, read: Callable[[str], np.ndarray]) -> Objective:
        """The objective with the pixels of the image that it names."""
        if not isinstance(self.image, str):
            return self
        return self.model_copy(update={"image": read(self.image)})

    def _both(self, activations: Activations) -> tuple[jax.Array, jax.Array]:
        """[*spatial, channels] of the picture, and of the given image."""
        expected = activations.picture.shape
        if isinstance(self.image, str) or self.image.shape != expected:
            found = self.image if isinstance(self.image, str) else self.image.shape
            raise ConfigError(
                f"{self.kind} needs an image of the picture's shape {expected}, found {found}"
            )
        given = activations.of(jnp.asarray(self.image))
        return activations.layer(self.layer), given.layer(self.layer)

    def __str__(self) -> str:
        """Name and layer."""
        return self.kind + (f" of {self.layer}" if self.layer else "")


class Inversion(_OfAnImage):
    """Reconstruction of an image from a layer: minus the relative distance of its activations.

    Attributes:
        image: [height, width, channels] in the network's input units, as large as the picture;
            or the name of an image file.
        layer: Name of a layer; the unit's own where left out.

    Example:
        >>> print(Inversion(image="cat.png", layer="conv3"))
        inversion of conv3

    References:
        Mahendran & Vedaldi, Understanding Deep Image Representations by Inverting Them, 2014.
    """

    kind: Literal["inversion"] = "inversion"

    def value(self, activations: Activations) -> jax.Array:
        """Minus |own − given|² / |given|², a scalar: 0 where the activations are equal."""
        own, other = self._both(activations)
        distance = jnp.sum(jnp.square(own - other))
        return -distance / jnp.maximum(jnp.sum(jnp.square(other)), 1e-12)


class Caricature(_OfAnImage):
    """Exaggeration of the features that a layer detects in an image.

    Attributes:
        image: [height, width, channels] in the network's input units, as large as the picture;
            or the name of an image file.
        layer: Name of a layer; the unit's own where left out.
        cosine: Exponent of the cosine that weights the product of the activations.

    Example:
        >>> print(Caricature(image="cat.png"))
        caricature

    References:
        `dot_compare` of lucid, `Caricature` notebook.
    """

    kind: Literal["caricature"] = "caricature"
    cosine: float = Field(default=1.0, ge=0)

    def value(self, activations: Activations) -> jax.Array:
        """Product of the activations, weighted by their cosine; the given image scores 1."""
        own, other = self._both(activations)
        product = jnp.sum(own * other)
        lengths = jnp.sum(jnp.square(own)) * jnp.sum(jnp.square(other))
        cosine = product * jax.lax.rsqrt(jnp.maximum(lengths, 1e-12))
        scale = jnp.maximum(jnp.sum(jnp.square(other)), 1e-12)
        return product / scale * jnp.maximum(cosine, 0.1) ** self.cosine
