"""The base of every transform, and how several in a row are applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree
from pydantic import BaseModel, ConfigDict

from jaxviz.transforms.resampling import Image, resample
from jaxviz.transforms.still import unless

#: The random numbers of one draw, as `Reading.draw` returns them.
Drawn: TypeAlias = PyTree[jax.Array]


class Transform(BaseModel):
    """(key, image) → image, a random change of the picture.

    Attributes:
        kind: The transform's name in a document.

    Example:
        >>> from jaxviz.transforms import Jitter
        >>> moved = Jitter(amount=4).apply(jax.random.key(0), jnp.zeros((12, 16, 3)), 0.0)
        >>> moved.shape
        (8, 12, 3)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    kind: str

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) that come out of a picture of (height, width) pixels.

        Raises:
            ConfigError: If the picture is too small.
        """
        return height, width

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """Change an image by one random draw.

        Args:
            key: Decides the draw.
            image: [height, width, channels] in the preset's units.
            progress: Share of the ascent that is done, 0 to 1.

        Returns:
            [height, width, channels] of the size that `size` says.
        """
        raise NotImplementedError

    def at(self, share: float, side: int, field: int | None, *, fixed: bool) -> Transform:
        """The transform for a picture and a layer.

        Args:
            share: Factor of amounts in pixels, where they follow the picture's size.
            side: Side of the picture, in pixels.
            field: The layer's receptive field, in pixels; None is the whole picture.
            fixed: Whether the objective looks at one position, and the picture must stay there.
        """
        return self

    def for_texture(self, search: float) -> Transform | None:
        """The transform for a layer that sees a small part of a picture; None leaves it out.

        Args:
            search: Factor (0 to 1) for the share of the ascent over which the transform fades.
        """
        return self


class Reading(Transform):
    """A transform that reads each axis at other places, independently of the other axis.

    Each axis has a matrix. The matrices of several such transforms in a row are multiplied, and
    read the picture once.
    """

    #: Whether pixels are mixed. A transform that only moves pixels is faster without a matrix.
    mixes: ClassVar[bool] = True

    def draw(self, key: jax.Array, progress: float | jax.Array) -> Drawn:
        """The random numbers of one draw.

        Args:
            key: Decides the draw.
            progress: Share of the ascent that is done, 0 to 1.
        """
        raise NotImplementedError

    def weights(self, drawn: Drawn, axis: int, n: int) -> Float[Array, "out in"]:
        """The matrix that makes an axis of the result from an axis of the picture.

        Args:
            drawn: As `draw` returned it.
            axis: 0 for rows, 1 for columns.
            n: Pixels of the picture along the axis.
        """
        raise NotImplementedError

    @property
    def beyond(self) -> float | None:
        """Value of places outside of the picture; None where none is read."""
        return None

    @property
    def until(self) -> float:
        """Share of the ascent after which the transform changes nothing; 0 is never."""
        return 0.0

    def apply(self, key: jax.Array, image: Image, progress: float | jax.Array) -> Image:
        """Change an image by one random draw."""
        return _read([self], [key], image, progress)


def apply_all(
    transforms: Sequence[Transform], key: jax.Array, image: Image, progress: float | jax.Array
) -> Image:
    """Apply one draw of each transform, one after the other.

    Args:
        transforms: The transforms in order.
        key: Every transform's key is folded from it by the transform's place.
        image: [height, width, channels] in the preset's units.
        progress: Share of the ascent that is done, 0 to 1.

    Returns:
        [height, width, channels] of the size that `size_after` says.

    Example:
        >>> from jaxviz.transforms import Jitter, Pad
        >>> some = [Pad(amount=2), Jitter(amount=4)]
        >>> apply_all(some, jax.random.key(0), jnp.zeros((8, 8, 3)), 0.0).shape
        (8, 8, 3)
    """
    number = 0
    for some in _together(transforms):
        keys = [jax.random.fold_in(key, number + n) for n in range(len(some))]
        number += len(some)
        if len(some) == 1:
            image = some[0].apply(keys[0], image, progress)
        else:
            image = _read([one for one in some if isinstance(one, Reading)], keys, image, progress)
    return image


def size_after(transforms: Sequence[Transform], height: int, width: int) -> tuple[int, int]:
    """(height, width) of the image that the network gets.

    Args:
        transforms: The transforms in order.
        height: Of the picture, in pixels.
        width: Of the picture, in pixels.

    Returns:
        (height, width) in pixels.

    Raises:
        ConfigError: If the picture is too small for a transform.

    Example:
        >>> from jaxviz.transforms import Jitter, Pad
        >>> size_after([Pad(amount=12), Jitter(amount=16)], 128, 128)
        (136, 136)
    """
    for transform in transforms:
        height, width = transform.size(height, width)
    return height, width


def faded(fade: float, progress: float | jax.Array) -> float | jax.Array:
    """Factor of an amount that falls from 1 to 0 over a share of the ascent; 1 if that is 0.

    Example:
        >>> float(faded(0.5, 0.25)), faded(0.0, 0.25)
        (0.5, 1.0)
    """
    return jnp.maximum(0.0, 1 - progress / fade) if fade else 1.0


def drawn_from(key: jax.Array, values: tuple[float, ...], between: bool) -> jax.Array:
    """Draw one of the values, or any number between minimum and maximum.

    Example:
        >>> float(drawn_from(jax.random.key(0), (2.0, 2.0), between=True))
        2.0
    """
    if between:
        return jax.random.uniform(key, minval=min(values), maxval=max(values))
    return jnp.asarray(values, jnp.float32)[jax.random.randint(key, (), 0, len(values))]


def scaled(amount: int, share: float) -> int:
    """An amount in pixels, scaled and rounded down, at least 1.

    Example:
        >>> scaled(16, 0.3), scaled(2, 0.1)
        (4, 1)
    """
    return max(1, int(amount * share))


def _together(transforms: Sequence[Transform]) -> list[list[Transform]]:
    """The transforms in order, in groups that read the picture once."""
    groups: list[list[Transform]] = []
    for transform in transforms:
        if groups and _readable([*groups[-1], transform]):
            groups[-1].append(transform)
        else:
            groups.append([transform])
    found: list[list[Transform]] = []
    for group in groups:
        mixing = any(isinstance(one, Reading) and one.mixes for one in group)
        found += [group] if len(group) == 1 or mixing else [[one] for one in group]
    return found


def _readable(some: Sequence[Transform]) -> bool:
    """Whether all are readings with one value outside of the picture."""
    beyond = {one.beyond for one in some if isinstance(one, Reading)} - {None}
    return len(beyond) < 2 and all(isinstance(one, Reading) for one in some)


def _read(
    some: Sequence[Reading], keys: Sequence[jax.Array], image: Image, progress: float | jax.Array
) -> Image:
    """Apply one draw of each, with one matrix per axis for all of them."""
    drawn = [one.draw(key, progress) for one, key in zip(some, keys, strict=True)]
    value = next((one.beyond for one in some if one.beyond is not None), None)

    def read(image: Image, drawn: Drawn) -> Image:
        matrices = [_composed(some, drawn, axis, image.shape[axis]) for axis in (0, 1)]
        return resample(image, *matrices, value=value)

    until = [one.until for one in some]
    if not all(until):
        return read(image, drawn)
    return unless(jnp.asarray(progress >= max(until)), read, image, drawn)


def _composed(
    some: Sequence[Reading], drawn: Sequence[Drawn], axis: int, n: int
) -> Float[Array, "out in"]:
    """The product of all matrices of one axis."""
    first, *others = zip(some, drawn, strict=True)
    weights = first[0].weights(first[1], axis, n)
    for one, numbers in others:
        later = one.weights(numbers, axis, weights.shape[0])
        weights = jnp.matmul(later, weights, precision=jax.lax.Precision.HIGHEST)
    return weights
