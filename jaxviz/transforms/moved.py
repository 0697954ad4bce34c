"""Transforms that move whole pixels."""

from __future__ import annotations

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from pydantic import Field, PositiveInt, model_validator

from jaxviz.errors import ConfigError
from jaxviz.transforms.base import Drawn, Reading, faded, scaled
from jaxviz.transforms.resampling import Image, changed, picked, rolled, shortest
from jaxviz.transforms.still import unless


class Moving(Reading):
    """A transform that moves pixels and mixes none."""

    mixes: ClassVar[bool] = False

    def draw(self, key: jax.Array, progress: float | jax.Array) -> Drawn:
        """Nothing: the transform is not random."""
        return ()


class Pad(Moving):
    """A frame around the picture, which a later jitter may cut into.

    Attributes:
        amount: Width of the frame, in pixels.
        outside: Pixels of the frame: the picture repeated (`wrap`), its outermost pixels
            (`edge`), its mirror image (`reflect`), or `value`.
        value: Value of the frame, in the preset's units, for `outside` `value`.

    Example:
        >>> Pad(amount=4).apply(jax.random.key(0), jnp.zeros((8, 8, 3)), 0.0).shape
        (16, 16, 3)
    """

    kind: Literal["pad"] = "pad"
    amount: PositiveInt
    outside: Literal["wrap", "edge", "value", "reflect"] = "value"
    value: float = 0.5

    @property
    def beyond(self) -> float | None:
        """The frame's value, where it has one."""
        return self.value if self.outside == "value" else None

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Larger by the amount on every side."""
        if self.outside == "reflect" and self.amount >= shortest(height, width):
            raise ConfigError(
                f"a picture of {height}×{width} cannot be padded by {self.amount} of its own "
                "pixels",
                hint=f"Give at most {shortest(height, width) - 1}, or make larger pictures "
                "(--size).",
            )
        return changed(2 * self.amount, height, width)

    def at(self, share: float, side: int, field: int | None, *, fixed: bool) -> Pad:
        """The amount follows the picture's size."""
        return self.model_copy(update={"amount": scaled(self.amount, share)})

    def weights(self, drawn: Drawn, axis: int, n: int) -> Float[Array, "out in"]:
        """Weights that read the picture, and other pixels or none for the frame."""
        amount = self.amount if n > 1 else 0
        if self.outside == "value":
            return picked(np.arange(-amount, n + amount), n)
        return picked(np.pad(np.arange(n), amount, mode=self.outside), n)

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """Add the frame; the key decides nothing."""
        frame = (*(((self.amount if n > 1 else 0),) * 2 for n in image.shape[:2]), (0, 0))
        if self.outside == "value":
            return jnp.pad(image, frame, constant_values=self.value)
        return jnp.pad(image, frame, mode=self.outside)


class Jitter(Moving):
    """A random shift by whole pixels.

    Attributes:
        amount: Pixels. A window that is cut out is smaller by this amount; a shift that wraps
            is at most as far, in either direction.
        wrap: Whether pixels that leave on one side enter on the other; otherwise a window is
            cut out.
        roam: Whether a shift that wraps grows up to half the picture for a layer with a smaller
            receptive field. A texture then has no edges; a layer that sees the whole picture
            still composes it.
        fade: Share of the ascent (0 to 1) over which a shift that wraps falls to 0; 0 keeps
            the shift. A shape is first found at any place, and then fits the network's strides.

    Example:
        >>> Jitter(amount=4).apply(jax.random.key(0), jnp.zeros((12, 12, 3)), 0.0).shape
        (8, 8, 3)
        >>> Jitter(amount=4, wrap=True).apply(jax.random.key(0), jnp.zeros((12, 12, 3)), 0.0).shape
        (12, 12, 3)
    """

    kind: Literal["jitter"] = "jitter"
    amount: PositiveInt
    wrap: bool = False
    roam: bool = False
    fade: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _wrapping(self) -> Jitter:
        if (self.fade or self.roam) and not self.wrap:
            raise ValueError("`roam` and `fade` need `wrap`: true")
        return self

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Smaller by the amount; unchanged where the shift wraps."""
        if self.wrap:
            return height, width
        if self.amount >= shortest(height, width):
            raise ConfigError(
                f"a jitter of {self.amount} leaves nothing of a picture of {height}×{width}",
                hint="Give a smaller amount, pad first, or make larger pictures (--size).",
            )
        return changed(-self.amount, height, width)

    def at(self, share: float, side: int, field: int | None, *, fixed: bool) -> Jitter:
        """The amount follows the picture's size, a fixed position and a roaming shift."""
        amount = scaled(self.amount, share)
        if fixed:
            amount = max(1, min(amount, (field or side) // 8))
        elif self.roam and field is not None:
            amount = max(amount, min(side - field, side // 2))
        return self.model_copy(update={"amount": amount})

    def for_texture(self, search: float) -> Jitter:
        """The shift falls to 0 sooner."""
        return self.model_copy(update={"fade": self.fade * search})

    @property
    def until(self) -> float:
        """The end of its fading."""
        return self.fade

    def draw(self, key: jax.Array, progress: float | jax.Array) -> jax.Array:
        """[2] pixels: the shift of both axes, or the first row and column of the window."""
        if not self.wrap:
            return jax.random.randint(key, (2,), 0, self.amount + 1)
        shift = jax.random.randint(key, (2,), -self.amount, self.amount + 1)
        return jnp.round(shift * faded(self.fade, progress)).astype(jnp.int32)

    def weights(self, drawn: jax.Array, axis: int, n: int) -> Float[Array, "out in"]:
        """Weights that read the shifted pixels, or the window."""
        if self.wrap:
            return picked((np.arange(n) - drawn[axis]) % n, n)
        # An axis of one pixel does not move.
        return picked(np.arange(n - self.amount) + drawn[axis] if n > 1 else np.zeros(1), n)

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """Shift by one random draw."""
        drawn = self.draw(key, progress)
        if self.fade:
            return unless(jnp.asarray(progress >= self.fade), rolled, image, drawn)
        if self.wrap:
            return rolled(image, drawn)
        # `dynamic_slice` keeps the window inside, where an axis has one pixel.
        inner = (*self.size(*image.shape[:2]), image.shape[2])
        return jax.lax.dynamic_slice(image, (drawn[0], drawn[1], 0), inner)


class Crop(Moving):
    """The middle of the picture, without its frame.

    Attributes:
        amount: Width of the frame, in pixels.

    Example:
        >>> Crop(amount=2).apply(jax.random.key(0), jnp.zeros((8, 8, 3)), 0.0).shape
        (4, 4, 3)
    """

    kind: Literal["crop"] = "crop"
    amount: PositiveInt

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Smaller by the amount on every side."""
        if 2 * self.amount >= shortest(height, width):
            raise ConfigError(
                f"a crop of {self.amount} on every side leaves nothing of a picture of "
                f"{height}×{width}",
                hint="Give a smaller amount, pad first, or make larger pictures (--size).",
            )
        return changed(-2 * self.amount, height, width)

    def at(self, share: float, side: int, field: int | None, *, fixed: bool) -> Crop:
        """The amount follows the picture's size."""
        return self.model_copy(update={"amount": scaled(self.amount, share)})

    def weights(self, drawn: Drawn, axis: int, n: int) -> Float[Array, "out in"]:
        """Weights that read the middle pixels."""
        return picked(np.arange(n)[self._middle(n)], n)

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """Cut the frame off; the key decides nothing."""
        rows, columns = map(self._middle, image.shape[:2])
        return image[rows, columns]

    def _middle(self, n: int) -> slice:
        return slice(self.amount, -self.amount) if n > 1 else slice(None)


class Flip(Moving):
    """A mirror image, with probability ½.

    Attributes:
        vertical: Whether top and bottom are exchanged, instead of left and right.

    Example:
        >>> Flip().apply(jax.random.key(0), jnp.zeros((8, 12, 3)), 0.0).shape
        (8, 12, 3)
    """

    kind: Literal["flip"] = "flip"
    vertical: bool = False

    def draw(self, key: jax.Array, progress: float | jax.Array) -> jax.Array:
        """Whether the picture is mirrored, a boolean scalar."""
        return jax.random.bernoulli(key)

    def weights(self, drawn: jax.Array, axis: int, n: int) -> Float[Array, "out in"]:
        """Weights that read an axis forwards or backwards."""
        same, mirrored = np.arange(n), np.arange(n)[::-1]
        if axis != (0 if self.vertical else 1):
            return picked(same, n)
        return picked(jnp.where(drawn, mirrored, same), n)

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """The picture or its mirror image, by one random draw."""
        mirrored = jnp.flip(image, 0 if self.vertical else 1)
        return jnp.where(self.draw(key, progress), mirrored, image)
