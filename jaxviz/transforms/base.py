"""What a transform is, and how several in a row are applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import BaseModel, ConfigDict

from jaxviz.transforms.resampling import Image, resample
from jaxviz.transforms.still import unless


class Transform(BaseModel):
    """(key, image) -> image.

    Example:
        >>> from jaxviz.transforms import Jitter
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


class Reading(Transform):
    """A transform that reads every axis at other places, whatever the other axis does.

    It is a matrix for each axis, so that several in a row are one such pair of matrices.
    """

    #: Whether it mixes pixels. What only moves them is cheaper without a matrix, if it is alone.
    mixes: ClassVar[bool] = True

    def draw(self, key: jax.Array, progress: float | jax.Array) -> Any:
        """What is random of it: a few numbers."""
        raise NotImplementedError

    def weights(self, drawn: Any, axis: int, n: int) -> Float[Array, "out in"]:
        """How the rows (axis 0) or columns (axis 1) that come out are made of n that go in."""
        raise NotImplementedError

    @property
    def beyond(self) -> float | None:
        """What weights read that lie outside; None where none do."""
        return None

    @property
    def until(self) -> float:
        """Share of the ascent after which it leaves the picture as it is; 0 is never."""
        return 0.0

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """One random draw."""
        return _read([self], [key], image, progress)


def apply_all(
    transforms: Sequence[Transform], key: jax.Array, image: Image, progress: float | jax.Array
) -> Image:
    """One draw of each, one after the other; each has a key of its own."""
    number = 0
    for some in _together(transforms):
        keys = [jax.random.fold_in(key, number + n) for n in range(len(some))]
        number += len(some)
        if len(some) == 1:
            image = some[0].apply(keys[0], image, progress)
        else:
            image = _read(some, keys, image, progress)
    return image


def size_after(transforms: Sequence[Transform], height: int, width: int) -> tuple[int, int]:
    """(height, width) of what the network gets; ConfigError if one of them does not fit.

    Example:
        >>> from jaxviz.transforms import Jitter, Pad
        >>> size_after([Pad(amount=12), Jitter(amount=16)], 128, 128)
        (136, 136)
    """
    for transform in transforms:
        height, width = transform.size(height, width)
    return height, width


def faded(fade: float, progress: float | jax.Array) -> float | jax.Array:
    """What is left, 1 to 0, of an amount that dies away over this share of the ascent."""
    return jnp.maximum(0.0, 1 - progress / fade) if fade else 1.0


def drawn_from(key: jax.Array, values: tuple[float, ...], between: bool) -> jax.Array:
    """One of these values, or any between the least and the largest."""
    if between:
        return jax.random.uniform(key, minval=min(values), maxval=max(values))
    return jnp.asarray(values, jnp.float32)[jax.random.randint(key, (), 0, len(values))]


def _together(transforms: Sequence[Transform]) -> list[list[Any]]:
    """The transforms in order, those together that are read at once."""
    groups: list[list[Any]] = []
    for transform in transforms:
        if groups and _readable([*groups[-1], transform]):
            groups[-1].append(transform)
        else:
            groups.append([transform])
    found: list[list[Any]] = []
    for group in groups:
        at_once = len(group) == 1 or any(one.mixes for one in group)
        found += [group] if at_once else [[one] for one in group]
    return found


def _readable(some: Sequence[Transform]) -> bool:
    """Whether these are readings that see the same outside."""
    beyond = {one.beyond for one in some if isinstance(one, Reading)} - {None}
    return len(beyond) < 2 and all(isinstance(one, Reading) for one in some)


def _read(
    some: Sequence[Reading], keys: Sequence[jax.Array], image: Image, progress: float | jax.Array
) -> Image:
    """One draw of each, all of them as one matrix for each axis."""
    drawn = [one.draw(key, progress) for one, key in zip(some, keys, strict=True)]
    value = next((one.beyond for one in some if one.beyond is not None), None)

    def read(image: Image, drawn: Any) -> Image:
        matrices = [_composed(some, drawn, axis, image.shape[axis]) for axis in (0, 1)]
        return resample(image, *matrices, value=value)

    until = [one.until for one in some]
    if not all(until):
        return read(image, drawn)
    return unless(jnp.asarray(progress >= max(until)), read, image, drawn)


def _composed(
    some: Sequence[Reading], drawn: Sequence[Any], axis: int, n: int
) -> Float[Array, "out in"]:
    """One after the other along one axis."""
    first, *others = zip(some, drawn, strict=True)
    weights = first[0].weights(first[1], axis, n)
    for one, numbers in others:
        later = one.weights(numbers, axis, weights.shape[0])
        weights = jnp.matmul(later, weights, precision=jax.lax.Precision.HIGHEST)
    return weights
