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
    """Enlargement about the middle by a random factor, bilinear, within the same frame.

    Attributes:
        factors: Drawn from these, or between the first and the last with `between`.
        between: Any factor in between too.
        fade: Share of the ascent over which factors come closer to 1 and end there, 0 for
            never: every resampling blurs, and what is finest is learned last.
        outside: What a shrunk picture is surrounded by.
        value: It, for `outside` `value`.
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
        """What a shrunk picture is surrounded by, if that is a value."""
        return self.value if self.outside == "value" else None

    @property
    def until(self) -> float:
        """The end of its fading."""
        return self.fade

    def draw(self, key: jax.Array, progress: float | jax.Array) -> jax.Array:
        """The factor."""
        factor = drawn_from(key, self.factors, self.between)
        return 1 + (factor - 1) * faded(self.fade, progress)

    def weights(self, drawn: jax.Array, axis: int, n: int) -> Float[Array, "out in"]:
        """Two neighbours each."""
        return bilinear(enlarged(n, drawn), n, self.outside)


class Octaves(Reading):
    """Coarse before fine: the network sees the picture reduced, and larger octave by octave.

    While it is reduced, what the network looks for becomes large in the picture, and finer
    detail is then added to it; the frame is filled with repetitions of the picture.

    Attributes:
        count: Octaves; the last is the picture at its own size.
        ratio: From one to the next.
        order: `rising` goes through them over the ascent, as DeepDream does; `random` draws one
            at each step, so that the picture holds at every scale.

    References:
        Mordvintsev et al., Inceptionism, 2015: octaves; `octave_n` and `octave_scale` in its code.
    """

    kind: Literal["octaves"] = "octaves"
    count: PositiveInt = 4
    ratio: float = Field(default=1.4, gt=1)
    order: Literal["rising", "random"] = "rising"

    def draw(self, key: jax.Array, progress: float | jax.Array) -> jax.Array:
        """The reduction of the octave whose turn it is."""
        if self.order == "random":
            octave = jax.random.randint(key, (), 0, self.count)
        else:
            octave = jnp.minimum(jnp.floor(progress * self.count), self.count - 1)
        return self.ratio ** (octave - (self.count - 1.0))

    def weights(self, drawn: jax.Array, axis: int, n: int) -> Float[Array, "out in"]:
        """Tents as wide as the reduction."""
        return reduced(enlarged(n, drawn), drawn, n)


class Box(Reading):
    """A square window of random place and size, enlarged to a fixed size (MACO, Horama).

    What lies outside the picture is 0, as in `crop_and_resize`.

    Attributes:
        pixels: Side of what comes out; of the picture that goes in where left out.
        start: Mean share of the picture that the window spans, at the first step.
        end: The same at the last step, linear in between; as `start` where left out.
        spread: Standard deviation of the share, or half width with `uniform`.
        uniform: Uniform shares instead of normal ones.
        wander: Standard deviation of the window's middle, as a share of the picture.
        least: Smallest share.
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
        """Black."""
        return 0.0

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The fixed size."""
        pixels = self.pixels
        return (height, width) if pixels is None else (pixels if height > 1 else 1, pixels)

    def draw(
        self, key: jax.Array, progress: float | jax.Array
    ) -> tuple[Float[Array, " 2"], Float[Array, ""]]:
        """The window's middle and side, as shares of the picture."""
        place, extent = jax.random.split(key)
        middle = 0.5 + self.wander * jax.random.normal(place, (2,))
        draw = jax.random.uniform(extent, minval=-1, maxval=1) if self.uniform else None
        draw = jax.random.normal(extent) if draw is None else draw
        mean = self.start + ((self.end or self.start) - self.start) * progress
        return middle, jnp.clip(mean + self.spread * draw, self.least, 1.0)

    def weights(
        self, drawn: tuple[jax.Array, jax.Array], axis: int, n: int
    ) -> Float[Array, "out in"]:
        """Two neighbours each."""
        middle, share = drawn
        count = self.size(n, n)[axis]
        steps = np.linspace(-0.5, 0.5, count) if count > 1 else np.zeros(1)
        return bilinear((middle[axis] + share * steps) * (n - 1), n, "value")


class Blur(Reading):
    """Gaussian blur of a random width.

    Attributes:
        low: Least standard deviation, in pixels.
        high: Largest.
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
        """Unchanged."""
        most = shortest(height, width) / 2
        if self.high > most:
            raise ConfigError(
                f"a blur of {self.high:g} pixels is wider than a picture of {height}×{width}",
                hint=f"Give at most {most:g}, or make larger pictures (--size).",
            )
        return height, width

    def draw(self, key: jax.Array, progress: float | jax.Array) -> jax.Array:
        """The width."""
        return jax.random.uniform(key, minval=self.low, maxval=self.high)

    def weights(self, drawn: jax.Array, axis: int, n: int) -> Float[Array, "out in"]:
        """All pixels, weighted by distance."""
        weights = jnp.exp(-0.5 * jnp.square((np.arange(n)[:, None] - np.arange(n)) / drawn))
        return weights / weights.sum(axis=1, keepdims=True)
