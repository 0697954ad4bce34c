"""Transforms that resample a picture along its axes."""

from __future__ import annotations

from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from jaxviz.errors import ConfigError
from jaxviz.transforms.base import Reading, drawn_from, faded
from jaxviz.transforms.resampling import Outside, bilinear, enlarged, reduced, shortest


class Scale(Reading):
    """Enlargement about the middle by a random factor, bilinear, in a frame of constant size.

    Attributes:
        factors: Factors to draw from.
        between: Whether any factor from the minimum to the maximum may be drawn.
        fade: Share of the ascent (0 to 1) over which factors approach 1; 0 is never. Every
            resampling blurs, and the finest detail is learned last.
        outside: Pixels around a picture that shrinks.
        value: Their value, in the preset's units, for `outside` `value`.

    Example:
        >>> scale = Scale(factors=(0.9, 1.1), between=True)
        >>> scale.apply(jax.random.key(0), jnp.zeros((8, 8, 3)), 0.0).shape
        (8, 8, 3)
    """

    kind: Literal["scale"] = "scale"
    factors: Annotated[tuple[float, ...], Field(min_length=1)]
    between: bool = False
    fade: float = Field(default=0.0, ge=0, le=1)
    outside: Outside = "value"
    value: float = 0.5

    @model_validator(mode="after")
    def _positive(self) -> Scale:
        if min(self.factors) <= 0:
            raise ValueError(f"factors of a scale are positive, found {self.factors}")
        return self

    @property
    def beyond(self) -> float | None:
        """Value around a picture that shrinks, where it is one."""
        return self.value if self.outside == "value" else None

    @property
    def until(self) -> float:
        """The end of its fading."""
        return self.fade

    def for_texture(self, search: float) -> Scale | None:
        """None where the factors fade: a texture need not be found at several sizes."""
        return None if self.fade else self

    def draw(self, key: jax.Array, progress: float | jax.Array) -> jax.Array:
        """The factor, a scalar."""
        factor = drawn_from(key, self.factors, self.between)
        return 1 + (factor - 1) * faded(self.fade, progress)

    def weights(self, drawn: jax.Array, axis: int, n: int) -> Float[Array, "out in"]:
        """Weights of two neighbouring pixels each."""
        return bilinear(enlarged(n, drawn), n, self.outside)


class Octaves(Reading):
    """Coarse before fine: the network sees a reduced picture that grows octave by octave.

    A feature that is found in a reduced picture is large in the picture itself; later octaves
    add finer detail. Repetitions of the reduced picture fill the frame.

    Attributes:
        count: Number of octaves; the last is the picture at its own size.
        ratio: Ratio of the sizes of two successive octaves.
        order: `rising` passes through the octaves over the ascent, as DeepDream does; `random`
            draws one at each step, so that the picture is valid at every scale.

    Example:
        >>> Octaves(count=3).apply(jax.random.key(0), jnp.zeros((8, 8, 3)), 0.0).shape
        (8, 8, 3)

    References:
        Mordvintsev et al., Inceptionism, 2015: octaves; `octave_n` and `octave_scale` in its code.
    """

    kind: Literal["octaves"] = "octaves"
    count: PositiveInt = 4
    ratio: float = Field(default=1.4, gt=1)
    order: Literal["rising", "random"] = "rising"

    def draw(self, key: jax.Array, progress: float | jax.Array) -> jax.Array:
        """Size of the current octave relative to the picture, a scalar."""
        if self.order == "random":
            octave = jax.random.randint(key, (), 0, self.count)
        else:
            octave = jnp.minimum(jnp.floor(progress * self.count), self.count - 1)
        return self.ratio ** (octave - (self.count - 1.0))

    def weights(self, drawn: jax.Array, axis: int, n: int) -> Float[Array, "out in"]:
        """Tents as wide as the reduction asks."""
        return reduced(enlarged(n, drawn), drawn, n)


class Box(Reading):
    """A square window at a random place, of a random size, enlarged to a fixed size.

    Places outside of the picture are 0, as in `crop_and_resize`.

    Attributes:
        pixels: Side of the result, in pixels; the picture's where left out.
        start: Mean side of the window at the first step, as a share (0 to 1) of the picture.
        end: Mean side at the last step, linear in between; `start` where left out.
        spread: Standard deviation of the share, or half width with `uniform`.
        uniform: Whether shares are uniform instead of normal.
        wander: Standard deviation of the window's middle, as a share of the picture.
        least: Smallest share.

    Example:
        >>> Box(pixels=16, start=0.5).apply(jax.random.key(0), jnp.zeros((40, 40, 3)), 0.0).shape
        (16, 16, 3)

    References:
        Fel et al. 2023 (MACO); Horama, `horama/common.py`.
    """

    kind: Literal["box"] = "box"
    pixels: PositiveInt | None = None
    start: float = Field(gt=0, le=1)
    end: float | None = Field(default=None, gt=0, le=1)
    spread: NonNegativeFloat = 0.05
    uniform: bool = False
    wander: NonNegativeFloat = 0.15
    least: float = Field(default=0.05, gt=0, le=1)

    @property
    def beyond(self) -> float | None:
        """0, the value outside of the picture."""
        return 0.0

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The fixed size, whatever goes in."""
        pixels = self.pixels
        return (height, width) if pixels is None else (pixels if height > 1 else 1, pixels)

    def draw(
        self, key: jax.Array, progress: float | jax.Array
    ) -> tuple[Float[Array, " 2"], Float[Array, ""]]:
        """The window's middle [2] and its side, as shares of the picture."""
        place, extent = jax.random.split(key)
        middle = 0.5 + self.wander * jax.random.normal(place, (2,))
        draw = jax.random.uniform(extent, minval=-1, maxval=1) if self.uniform else None
        draw = jax.random.normal(extent) if draw is None else draw
        mean = self.start + ((self.end or self.start) - self.start) * progress
        return middle, jnp.clip(mean + self.spread * draw, self.least, 1.0)

    def weights(
        self, drawn: tuple[jax.Array, jax.Array], axis: int, n: int
    ) -> Float[Array, "out in"]:
        """Weights of two neighbouring pixels each."""
        middle, share = drawn
        count = self.size(n, n)[axis]
        steps = np.linspace(-0.5, 0.5, count) if count > 1 else np.zeros(1)
        return bilinear((middle[axis] + share * steps) * (n - 1), n, "value")


class Blur(Reading):
    """Gaussian blur of a random width.

    Attributes:
        low: Minimum standard deviation, in pixels.
        high: Maximum standard deviation, in pixels.

    Example:
        >>> Blur(low=1.0, high=2.0).apply(jax.random.key(0), jnp.zeros((8, 8, 3)), 0.0).shape
        (8, 8, 3)
    """

    kind: Literal["blur"] = "blur"
    low: float = Field(gt=0)
    high: float = Field(gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Blur:
        if self.low > self.high:
            raise ValueError(f"a blur needs low ≤ high, found {self.low} and {self.high}")
        return self

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Unchanged; ConfigError if the blur is wider than half the picture."""
        most = shortest(height, width) / 2
        if self.high > most:
            raise ConfigError(
                f"a blur of {self.high:g} pixels is too wide for a picture of {height}×{width}",
                hint=f"Give at most {most:g}, or make larger pictures (--size).",
            )
        return height, width

    def draw(self, key: jax.Array, progress: float | jax.Array) -> jax.Array:
        """The standard deviation in pixels, a scalar."""
        return jax.random.uniform(key, minval=self.low, maxval=self.high)

    def weights(self, drawn: jax.Array, axis: int, n: int) -> Float[Array, "out in"]:
        """Weights of all pixels, a Gaussian of their distance."""
        weights = jnp.exp(-0.5 * jnp.square((np.arange(n)[:, None] - np.arange(n)) / drawn))
        return weights / weights.sum(axis=1, keepdims=True)
