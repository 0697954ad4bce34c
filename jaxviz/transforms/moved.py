"""Transforms that move whole pixels."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from pydantic import Field, PositiveInt, model_validator

from jaxviz.errors import ConfigError
from jaxviz.transforms.base import Reading, faded
from jaxviz.transforms.resampling import Image, changed, picked, rolled, shortest
from jaxviz.transforms.still import unless


class Moving(Reading):
    """A transform that only moves pixels."""

    mixes: ClassVar[bool] = False

    def draw(self, key: jax.Array, progress: float | jax.Array) -> Any:
        """Nothing is random."""
        return ()


class Pad(Moving):
    """A frame around the picture, which later jitter may cut into."""

    kind: Literal["pad"] = "pad"
    amount: PositiveInt
    outside: Literal["wrap", "edge", "value", "reflect"] = "value"
    value: float = 0.5

    @property
    def beyond(self) -> float | None:
        """The frame's value."""
        return self.value if self.outside == "value" else None

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Larger by the amount on every side."""
        if self.outside == "reflect" and self.amount >= shortest(height, width):
            raise ConfigError(
                f"a picture of {height}×{width} cannot be padded by {self.amount} of its own pixels"
            )
        return changed(2 * self.amount, height, width)

    def weights(self, drawn: Any, axis: int, n: int) -> Float[Array, "out in"]:
        """The frame reads other pixels, or none."""
        amount = self.amount if n > 1 else 0
        if self.outside == "value":
            return picked(np.arange(-amount, n + amount), n)
        return picked(np.pad(np.arange(n), amount, mode=self.outside), n)

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """The same frame every time."""
        frame = (*(((self.amount if n > 1 else 0),) * 2 for n in image.shape[:2]), (0, 0))
        if self.outside == "value":
            return jnp.pad(image, frame, constant_values=self.value)
        return jnp.pad(image, frame, mode=self.outside)


class Jitter(Moving):
    """A random shift.

    Attributes:
        amount: Pixels. Cropping leaves a picture smaller by it; wrapping shifts by up to it
            in either direction.
        wrap: What leaves on one side comes in on the other; else a window is cut out.
        roam: Whether a wrapping shift grows to half the picture where the layer's receptive
            field is smaller than it: a texture then has no edges, and a layer that sees the
            whole picture still composes it.
        fade: Share of the ascent over which a wrapping shift dies away; 0 keeps it. A shape
            is found wherever it lies, and in the end fits the network's own grid of strides.
    """

    kind: Literal["jitter"] = "jitter"
    amount: PositiveInt
    wrap: bool = False
    roam: bool = False
    fade: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _wrapping(self) -> Jitter:
        if (self.fade or self.roam) and not self.wrap:
            raise ValueError("only a wrapping jitter can roam or fade")
        return self

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Smaller by the amount, unless it wraps."""
        if self.wrap:
            return height, width
        if self.amount >= shortest(height, width):
            raise ConfigError(
                f"a jitter of {self.amount} leaves nothing of a picture of {height}×{width}",
                hint="Give a smaller amount, pad first, or make larger pictures (--size).",
            )
        return changed(-self.amount, height, width)

    @property
    def until(self) -> float:
        """The end of its fading."""
        return self.fade

    def draw(self, key: jax.Array, progress: float | jax.Array) -> jax.Array:
        """Pixels of both axes: how far a wrapped picture goes, or where a window begins."""
        if not self.wrap:
            return jax.random.randint(key, (2,), 0, self.amount + 1)
        shift = jax.random.randint(key, (2,), -self.amount, self.amount + 1)
        return jnp.round(shift * faded(self.fade, progress)).astype(jnp.int32)

    def weights(self, drawn: jax.Array, axis: int, n: int) -> Float[Array, "out in"]:
        """Every pixel is another one."""
        if self.wrap:
            return picked((np.arange(n) - drawn[axis]) % n, n)
        # an axis of one pixel has nowhere to go
        return picked(np.arange(n - self.amount) + drawn[axis] if n > 1 else np.zeros(1), n)

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """One random shift, in whole pixels."""
        drawn = self.draw(key, progress)
        if self.fade:
            return unless(jnp.asarray(progress >= self.fade), rolled, image, drawn)
        if self.wrap:
            return rolled(image, drawn)
        # where an axis has one pixel, `dynamic_slice` keeps the window inside
        inner = (*self.size(*image.shape[:2]), image.shape[2])
        return jax.lax.dynamic_slice(image, (drawn[0], drawn[1], 0), inner)


class Crop(Moving):
    """The middle of the picture, without a frame of `amount` pixels."""

    kind: Literal["crop"] = "crop"
    amount: PositiveInt

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Smaller by the amount on every side."""
        if 2 * self.amount >= shortest(height, width):
            raise ConfigError(
                f"a crop of {self.amount} on every side leaves nothing of {height}×{width}"
            )
        return changed(-2 * self.amount, height, width)

    def weights(self, drawn: Any, axis: int, n: int) -> Float[Array, "out in"]:
        """The middle pixels."""
        return picked(np.arange(n)[self._middle(n)], n)

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """The same crop every time."""
        rows, columns = map(self._middle, image.shape[:2])
        return image[rows, columns]

    def _middle(self, n: int) -> slice:
        return slice(self.amount, -self.amount) if n > 1 else slice(None)


class Flip(Moving):
    """A mirror image, every second time."""

    kind: Literal["flip"] = "flip"
    vertical: bool = False

    def draw(self, key: jax.Array, progress: float | jax.Array) -> jax.Array:
        """Whether it is mirrored."""
        return jax.random.bernoulli(key)

    def weights(self, drawn: jax.Array, axis: int, n: int) -> Float[Array, "out in"]:
        """The same pixels, or those of the other side."""
        same, mirrored = np.arange(n), np.arange(n)[::-1]
        if axis != (0 if self.vertical else 1):
            return picked(same, n)
        return picked(jnp.where(drawn, mirrored, same), n)

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """The picture or its mirror image."""
        mirrored = jnp.flip(image, 0 if self.vertical else 1)
        return jnp.where(self.draw(key, progress), mirrored, image)
