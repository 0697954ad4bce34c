"""Random changes of a picture that a unit has to be robust to.

A signal is an image of one row; nothing moves across an axis of one pixel.

Every unit draws its own at every step, from its own key. All are differentiable, all have
sizes that are known beforehand (one compiled program serves every draw), and none costs
much beside a network: resampling along the axes is two small matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt, model_validator

from jaxviz.errors import ConfigError
from jaxviz.resampling import Image, Outside, bilinear, changed, reduced, resample, shortest


class Transform(BaseModel):
    """(key, image) -> image.

    Example:
        >>> moved = Jitter(amount=4).apply(jax.random.key(0), jnp.zeros((12, 16, 3)), 0.0)
        >>> moved.shape
        (8, 12, 3)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    kind: str

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) that come out; ConfigError if so small a picture cannot go in."""
        return height, width

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """One random draw.

        Args:
            key: Decides the draw.
            image: In the preset's units.
            progress: How much of the ascent is done, 0 to 1.
        """
        raise NotImplementedError


class Pad(Transform):
    """A frame around the picture, which later jitter may cut into."""

    kind: Literal["pad"] = "pad"
    amount: PositiveInt
    outside: Literal["wrap", "edge", "value", "reflect"] = "value"
    value: float = 0.5

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Larger by the amount on every side."""
        if self.outside == "reflect" and self.amount >= shortest(height, width):
            raise ConfigError(
                f"a picture of {height}×{width} cannot be padded by {self.amount} of its own pixels"
            )
        return changed(2 * self.amount, height, width)

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """The same frame every time."""
        frame = (*(((self.amount if n > 1 else 0),) * 2 for n in image.shape[:2]), (0, 0))
        if self.outside == "value":
            return jnp.pad(image, frame, constant_values=self.value)
        return jnp.pad(image, frame, mode=self.outside)


class Jitter(Transform):
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

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """One random shift, in whole pixels."""
        height, width, channels = image.shape
        if self.wrap:
            shift = jax.random.randint(key, (2,), -self.amount, self.amount + 1)
            shift = jnp.round(shift * _left(self.fade, progress)).astype(jnp.int32)
            return jnp.roll(image, shift, (0, 1))
        # where an axis has one pixel, `dynamic_slice` keeps the window inside
        first = jax.random.randint(key, (2,), 0, self.amount + 1)
        inner = (*self.size(height, width), channels)
        return jax.lax.dynamic_slice(image, (first[0], first[1], 0), inner)


class Scale(Transform):
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

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """One random factor."""
        factor = _draw(key, self.factors, self.between)
        factor = 1 + (factor - 1) * _left(self.fade, progress)
        matrices = []
        for n in image.shape[:2]:
            middle = (n - 1) / 2
            positions = (jnp.arange(n) - middle) / factor + middle
            matrices.append(bilinear(positions, n, self.outside))
        return resample(image, *matrices, value=self.value)


class Octaves(Transform):
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

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """The octave whose turn it is."""
        if self.order == "random":
            octave = jax.random.randint(key, (), 0, self.count)
        else:
            octave = jnp.minimum(jnp.floor(progress * self.count), self.count - 1)
        factor = self.ratio ** (octave - (self.count - 1.0))
        matrices = []
        for n in image.shape[:2]:
            middle = (n - 1) / 2
            positions = (jnp.arange(n) - middle) / factor + middle
            matrices.append(reduced(positions, factor, n))
        return resample(image, *matrices, value=0.0)


class Rotate(Transform):
    """Rotation about the middle by a random angle, bilinear.

    Attributes:
        degrees: Drawn from these, or between the first and the last with `between`.
        between: Any angle in between too.
        outside: What comes in at the corners.
        value: It, for `outside` `value`.
    """

    kind: Literal["rotate"] = "rotate"
    degrees: Annotated[tuple[float, ...], Field(min_length=1)]
    between: bool = False
    outside: Outside = "value"
    value: float = 0.5

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """One random angle, anticlockwise."""
        height, width, channels = image.shape
        if min(height, width) == 1:
            return image
        angle = _draw(key, self.degrees, self.between) * (np.pi / 180)
        cosine, sine = jnp.cos(angle), jnp.sin(angle)
        y = (np.arange(height) - (height - 1) / 2)[:, None]
        x = (np.arange(width) - (width - 1) / 2)[None]
        rows = cosine * y + sine * x + (height - 1) / 2
        columns = cosine * x - sine * y + (width - 1) / 2
        flat = image.reshape(-1, channels)
        if self.outside == "edge":
            rows, columns = jnp.clip(rows, 0, height - 1), jnp.clip(columns, 0, width - 1)
        top, left = jnp.floor(rows), jnp.floor(columns)
        result = jnp.zeros_like(image)
        for down in (0, 1):
            for right in (0, 1):
                row, column = top + down, left + right
                weight = (1 - jnp.abs(rows - row)) * (1 - jnp.abs(columns - column))
                inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
                index = (row % height * width + column % width).astype(jnp.int32)
                pixel = flat[index.reshape(-1)].reshape(image.shape)
                if self.outside == "value":
                    pixel = jnp.where(inside[..., None], pixel, self.value)
                result = result + weight[..., None] * pixel
        return result


class Crop(Transform):
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

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """The same crop every time."""
        rows, columns = (
            slice(self.amount, -self.amount) if n > 1 else slice(None) for n in image.shape[:2]
        )
        return image[rows, columns]


class Box(Transform):
    """A square window of random place and size, enlarged to a fixed size (MACO, Horama).

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

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The fixed size."""
        pixels = self.pixels
        return (height, width) if pixels is None else (pixels if height > 1 else 1, pixels)

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """One random window; what lies outside the picture is 0, as in `crop_and_resize`."""
        place, extent = jax.random.split(key)
        middle = 0.5 + self.wander * jax.random.normal(place, (2,))
        draw = jax.random.uniform(extent, minval=-1, maxval=1) if self.uniform else None
        draw = jax.random.normal(extent) if draw is None else draw
        mean = self.start + ((self.end or self.start) - self.start) * progress
        share = jnp.clip(mean + self.spread * draw, self.least, 1.0)
        matrices = []
        for axis, count in enumerate(self.size(*image.shape[:2])):
            n = image.shape[axis]
            steps = np.linspace(-0.5, 0.5, count) if count > 1 else np.zeros(1)
            positions = (middle[axis] + share * steps) * (n - 1)
            matrices.append(bilinear(positions, n, "value"))
        return resample(image, *matrices, value=0.0)


class Blur(Transform):
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

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """One random width."""
        width = jax.random.uniform(key, minval=self.low, maxval=self.high)
        matrices = []
        for n in image.shape[:2]:
            weights = jnp.exp(-0.5 * jnp.square((np.arange(n)[:, None] - np.arange(n)) / width))
            matrices.append(weights / weights.sum(axis=1, keepdims=True))
        return resample(image, *matrices, value=0.0)


class Flip(Transform):
    """A mirror image, every second time."""

    kind: Literal["flip"] = "flip"
    vertical: bool = False

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """The picture or its mirror image."""
        mirrored = jnp.flip(image, 0 if self.vertical else 1)
        return jnp.where(jax.random.bernoulli(key), mirrored, image)


class Noise(Transform):
    """Noise added to every pixel, in the preset's units.

    Attributes:
        normal: Standard deviation of a normal part.
        uniform: Half width of a uniform part.
    """

    kind: Literal["noise"] = "noise"
    normal: NonNegativeFloat = 0.0
    uniform: NonNegativeFloat = 0.0

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """Fresh noise."""
        first, second = jax.random.split(key)
        if self.normal:
            image = image + self.normal * jax.random.normal(first, image.shape)
        if self.uniform:
            image = image + self.uniform * jax.random.uniform(second, image.shape, minval=-1.0)
        return image


AnyTransform = Annotated[
    Pad | Jitter | Scale | Octaves | Rotate | Crop | Box | Blur | Flip | Noise,
    Field(discriminator="kind"),
]
#: Every transform by the name that it has in a preset.
TRANSFORMS: dict[str, type[Transform]] = {
    kind.model_fields["kind"].default: kind
    for kind in (Pad, Jitter, Scale, Octaves, Rotate, Crop, Box, Blur, Flip, Noise)
}


def apply_all(
    transforms: Sequence[Transform], key: jax.Array, image: Image, progress: float | jax.Array
) -> Image:
    """One draw of each, one after the other; each has a key of its own."""
    for number, transform in enumerate(transforms):
        image = transform.apply(jax.random.fold_in(key, number), image, progress)
    return image


def size_after(transforms: Sequence[Transform], height: int, width: int) -> tuple[int, int]:
    """(height, width) of what the network gets; ConfigError if one of them does not fit.

    Example:
        >>> size_after([Pad(amount=12), Jitter(amount=16)], 128, 128)
        (136, 136)
    """
    for transform in transforms:
        height, width = transform.size(height, width)
    return height, width


def _draw(key: jax.Array, values: tuple[float, ...], between: bool) -> jax.Array:
    if between:
        return jax.random.uniform(key, minval=min(values), maxval=max(values))
    return jnp.asarray(values, jnp.float32)[jax.random.randint(key, (), 0, len(values))]


def _left(fade: float, progress: float | jax.Array) -> float | jax.Array:
    """What is left, 1 to 0, of an amount that dies away over this share of the ascent."""
    return jnp.maximum(0.0, 1 - progress / fade) if fade else 1.0
