"""Objectives on what the network makes of an image."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import BeforeValidator, Field, NonNegativeInt, PlainSerializer

from jaxviz.errors import ConfigError
from jaxviz.objectives.activations import Activations
from jaxviz.objectives.base import Objective


def _numbers(given: Any) -> Any:
    return np.asarray(given, np.float64).tolist() if isinstance(given, np.ndarray) else given


def _written(vector: tuple[Any, ...]) -> Any:
    """One direction as it is; of many, for which a manifest has no room, what tells them apart."""
    if not isinstance(vector[0], tuple):
        return vector
    digest = hashlib.sha256(np.asarray(vector, "<f8").tobytes()).hexdigest()
    return {"shape": list(np.shape(vector)), "sha256": digest}


#: A direction in the space of a layer's channels, or several, one to a picture.
Vector = Annotated[
    tuple[float, ...] | tuple[tuple[float, ...], ...],
    BeforeValidator(_numbers),
    PlainSerializer(_written),
    Field(min_length=1, repr=False),
]


class Channel(Objective):
    """Mean of one channel's map: the texture that a filter looks for.

    Attributes:
        layer: Name of a layer; the unit's own where left out.
        channel: Its channel; the unit's own where left out.
        trim: Border of the map that does not count.
        trim_until: Share of the ascent after which the border counts too; 1 is never. What is
            made for the middle of the map at first has one composition, and fills the picture
            in the end.
        leak: Share that the value before the activation function has. A ReLU that fires
            nowhere passes nothing back, and one that is saturated no more; a small share of
            what went into it shows the way.
        stage: `pre_activation` counts only what goes into the activation function.

    References:
        Called `channel` by lucid, `LayerActivation` by captum, `filter` by keras.io.
    """

    places: ClassVar[tuple[str, ...]] = ("channel",)
    kind: Literal["channel"] = "channel"
    layer: str | None = None
    channel: NonNegativeInt | None = None
    trim: NonNegativeInt = 0
    trim_until: float = Field(default=1.0, ge=0, le=1)
    leak: float = Field(default=0.0, ge=0, lt=1)
    stage: Literal["output", "pre_activation"] = "output"

    def value(self, seen: Activations) -> jax.Array:
        """The mean over all positions that count."""
        layer = self.layer or seen.unit_layer
        before = seen.network.before(layer)
        if self.stage == "pre_activation" and before is not None:
            layer, before = before, None
        value = self._mean(seen, layer)
        if before is not None and self.leak:
            value = value + self.leak * (self._mean(seen, before) - value)
        if seen.behind is not None:
            # one position that fires is enough, and easier to have than a map that does
            inner = _inner(seen.channel(before or layer, self.channel), self.trim)
            value = value + seen.behind * (jnp.max(inner) - value)
        return value

    def _mean(self, seen: Activations, layer: str) -> jax.Array:
        activation = seen.channel(layer, self.channel)
        middle = trimmed_mean(activation, self.trim)
        if self.trim_until == 1 or not self.trim:
            return middle
        return jnp.where(seen.progress < self.trim_until, middle, jnp.mean(activation))

    def layers(self) -> tuple[str | None, ...]:
        """The one layer."""
        return (self.layer,)

    def fixed_units(self) -> int | None:
        """None, or 1 where a channel is named."""
        return None if self.channel is None else 1

    def rescue_layer(self, layer: str) -> str | None:
        """The channel's layer."""
        return self.layer or layer

    @property
    def leaks(self) -> bool:
        """Whether `leak` is above 0."""
        return self.leak > 0

    def score(self) -> Channel:
        """The activation alone."""
        return self.model_copy(update={"leak": 0.0, "stage": "output"})

    def __str__(self) -> str:
        """Which channel of which layer."""
        name = "channel" if self.channel is None else f"channel {self.channel}"
        name += f" of {self.layer}" if self.layer else ""
        name += " before its activation" if self.stage == "pre_activation" else ""
        return name + (f" (leak {self.leak:g})" if self.leak else "")


class Layer(Objective):
    """Mean square of a whole layer: whatever it sees, more of it (DeepDream).

    Attributes:
        layer: Name of a layer; the unit's own where left out.

    References:
        Mordvintsev et al., Inceptionism, 2015; called `deepdream` by lucid.
    """

    places: ClassVar[tuple[str, ...]] = ("layer",)
    kind: Literal["layer"] = "layer"
    layer: str | None = None

    def value(self, seen: Activations) -> jax.Array:
        """The mean over all positions and channels."""
        return jnp.mean(jnp.square(seen.layer(self.layer)))

    def layers(self) -> tuple[str | None, ...]:
        """The one layer."""
        return (self.layer,)

    def __str__(self) -> str:
        """The layer's name."""
        return f"layer {self.layer}" if self.layer else "layer"


class Direction(Objective):
    """How far activations go along a direction in the space of a layer's channels.

    Attributes:
        vector: One number per channel; or several such rows, of which each unit has its own.
        layer: Name of a layer; the unit's own where left out.
        cosine: Exponent of the cosine that the product is weighted with: 0 is the plain
            product, larger cares more for the angle and less for the length.

    References:
        Carter et al., Activation Atlas, 2019; `direction` with `cossim_pow` in lucid.
    """

    places: ClassVar[tuple[str, ...]] = ("vector",)
    kind: Literal["direction"] = "direction"
    vector: Vector
    layer: str | None = None
    cosine: float = Field(default=0.0, ge=0)

    def value(self, seen: Activations) -> jax.Array:
        """The mean over all positions."""
        activation = seen.layer(self.layer)
        vector = _direction(activation, self.vector, seen)
        product = activation @ vector
        if self.cosine:
            product = product * jnp.maximum(_cosine(activation, vector), 0.1) ** self.cosine
        return jnp.mean(product)

    def fixed_units(self) -> int | None:
        """The number of directions."""
        return _rows(self.vector)

    def layers(self) -> tuple[str | None, ...]:
        """The one layer."""
        return (self.layer,)

    def __str__(self) -> str:
        """The layer, and how much the angle counts."""
        place = f" of {self.layer}" if self.layer else ""
        return f"direction{place}" + (f" (cosine^{self.cosine:g})" if self.cosine else "")


class Cosine(Objective):
    """The cosine between a layer's activations and a direction, whatever their length.

    Attributes:
        vector: One number per channel; or several such rows, of which each unit has its own.
        layer: Name of a layer; the unit's own where left out.
    """

    places: ClassVar[tuple[str, ...]] = ("vector",)
    kind: Literal["cosine"] = "cosine"
    vector: Vector
    layer: str | None = None

    def value(self, seen: Activations) -> jax.Array:
        """The mean over all positions, between -1 and 1."""
        activation = seen.layer(self.layer)
        return jnp.mean(_cosine(activation, _direction(activation, self.vector, seen)))

    def fixed_units(self) -> int | None:
        """The number of directions."""
        return _rows(self.vector)

    def layers(self) -> tuple[str | None, ...]:
        """The one layer."""
        return (self.layer,)

    def __str__(self) -> str:
        """The layer's name."""
        return f"cosine of {self.layer}" if self.layer else "cosine"


class Logit(Objective):
    """A class's score before softmax, so that a class is not won by losing the others.

    Attributes:
        label: Number of the class; the unit's channel where left out.
        layer: The output; the unit's own layer where left out.

    References:
        Simonyan et al., Deep Inside Convolutional Networks, 2013.
    """

    places: ClassVar[tuple[str, ...]] = ("label",)
    kind: Literal["logit"] = "logit"
    label: NonNegativeInt | None = None
    layer: str | None = None

    def value(self, seen: Activations) -> jax.Array:
        """The class's value before the output's activation."""
        layer = self.layer or seen.unit_layer
        return jnp.mean(seen.channel(seen.network.before(layer) or layer, self.label))

    def layers(self) -> tuple[str | None, ...]:
        """The output."""
        return (self.layer,)

    def fixed_units(self) -> int | None:
        """None, or 1 where a class is named."""
        return None if self.label is None else 1

    def __str__(self) -> str:
        """The class's number."""
        return "logit" if self.label is None else f"logit {self.label}"


def trimmed_mean(activation: jax.Array, trim: int) -> jax.Array:
    """Mean of a channel's map without its border, which padding distorts.

    Args:
        activation: [*spatial], one channel of a layer; a scalar where it has no positions.
        trim: Positions left out on every side; fewer where a map is too small for that
            (min(trim, (n − 1) // 2) along an axis of n), so that a middle always remains.

    Returns:
        A scalar.

    Example:
        >>> float(trimmed_mean(jnp.arange(25.0).reshape(5, 5), trim=2))
        12.0
        >>> float(trimmed_mean(jnp.ones((2, 2)), trim=2))
        1.0

    References:
        keras.io, "Visualizing what convnets learn": `activation[:, 2:-2, 2:-2, filter_index]`.
    """
    return jnp.mean(_inner(activation, trim))


def _inner(activation: jax.Array, trim: int) -> jax.Array:
    edges = [min(trim, (n - 1) // 2) for n in activation.shape]
    return activation[tuple(slice(e, n - e) for e, n in zip(edges, activation.shape, strict=True))]


def _rows(vector: Any) -> int:
    return len(vector) if isinstance(vector[0], tuple) else 1


def _direction(activation: jax.Array, vector: Any, seen: Activations) -> jax.Array:
    numbers = jnp.asarray(vector, activation.dtype)
    if numbers.shape[-1] != activation.shape[-1]:
        raise ConfigError(
            f"a direction of {numbers.shape[-1]} numbers for a layer of "
            f"{activation.shape[-1]} channels"
        )
    return numbers if numbers.ndim == 1 else numbers[seen.unit_channel]


def _cosine(activation: jax.Array, vector: jax.Array) -> jax.Array:
    # the square root's gradient is not finite at zero, where many ReLU layers start
    squares = jnp.sum(jnp.square(activation), axis=-1) * jnp.sum(jnp.square(vector))
    return activation @ vector * jax.lax.rsqrt(jnp.maximum(squares, 1e-12))
