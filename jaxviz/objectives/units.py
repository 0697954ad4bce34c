"""Objectives on a network's activations."""

from __future__ import annotations

import hashlib
from typing import Annotated, ClassVar, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import BeforeValidator, Field, NonNegativeInt, PlainSerializer

from jaxviz.errors import ConfigError
from jaxviz.objectives.activations import Activations
from jaxviz.objectives.base import Objective

_Rows: TypeAlias = tuple[tuple[float, ...], ...]


def _numbers(given: object) -> object:
    return np.asarray(given, np.float64).tolist() if isinstance(given, np.ndarray) else given


def _written(vector: tuple[float, ...] | _Rows) -> object:
    """One direction as it is; many by their digest, because a manifest has no room for them."""
    if not isinstance(vector[0], tuple):
        return vector
    digest = hashlib.sha256(np.asarray(vector, "<f8").tobytes()).hexdigest()
    return {"shape": list(np.shape(vector)), "sha256": digest}


#: A direction in the space of a layer's channels, or several, one per picture.
Vector = Annotated[
    tuple[float, ...] | _Rows,
    BeforeValidator(_numbers),
    PlainSerializer(_written),
    Field(min_length=1, repr=False),
]


class Channel(Objective):
    """Mean of one channel's map: the texture that a filter responds to.

    Attributes:
        layer: Name of a layer; the unit's own where left out.
        channel: Number of a channel; the unit's own where left out.
        trim: Positions on every side of the map that do not count.
        trim_until: Share of the ascent (0 to 1) after which the border counts too; 1 is never.
            A picture made for the middle of the map has one composition, and fills the whole
            frame at the end.
        leak: Weight (0 to 1) of the mean pre-activation; the activation gets the rest. A closed
            ReLU passes no gradient back, and neither does a saturated one; a small weight of
            the pre-activation does.
        stage: `pre_activation` replaces the activation by the pre-activation.

    Example:
        >>> print(Channel(layer="conv3", channel=5, leak=0.1))
        channel 5 of conv3 (leak 0.1)

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

    def value(self, activations: Activations) -> jax.Array:
        """The mean over all positions that count, a scalar."""
        layer = self.layer or activations.unit_layer
        before = activations.network.pre_activation(layer)
        if self.stage == "pre_activation" and before is not None:
            layer, before = before, None
        value = self._mean(activations, layer)
        if before is not None and self.leak:
            value = value + self.leak * (self._mean(activations, before) - value)
        weight = activations.pre_activation_weight
        if weight is not None:
            # A maximum rises where one position fires, a mean only where the whole map does.
            inner = _inner(activations.channel(before or layer, self.channel), self.trim)
            value = value + weight * (jnp.max(inner) - value)
        return value

    def _mean(self, activations: Activations, layer: str) -> jax.Array:
        channel = activations.channel(layer, self.channel)
        middle = trimmed_mean(channel, self.trim)
        if self.trim_until == 1 or not self.trim:
            return middle
        return jnp.where(activations.progress < self.trim_until, middle, jnp.mean(channel))

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

    @property
    def changes(self) -> bool:
        """Whether the border counts at some time only."""
        return self.trim_until < 1

    def for_texture(self, search: float) -> Channel:
        """The border is left out for a shorter share of the ascent."""
        if not self.changes:
            return self
        return self.model_copy(update={"trim_until": self.trim_until * search})

    def score(self) -> Channel:
        """The activation alone, without its leak."""
        return self.model_copy(update={"leak": 0.0, "stage": "output"})

    def __str__(self) -> str:
        """Channel, layer and stage."""
        name = "channel" if self.channel is None else f"channel {self.channel}"
        name += f" of {self.layer}" if self.layer else ""
        name += " before its activation" if self.stage == "pre_activation" else ""
        return name + (f" (leak {self.leak:g})" if self.leak else "")


class Layer(Objective):
    """Mean square of a whole layer: more of everything that the layer detects (DeepDream).

    Attributes:
        layer: Name of a layer; the unit's own where left out.

    Example:
        >>> print(Layer(layer="mixed4"))
        layer mixed4

    References:
        Mordvintsev et al., Inceptionism, 2015; called `deepdream` by lucid.
    """

    places: ClassVar[tuple[str, ...]] = ("layer",)
    kind: Literal["layer"] = "layer"
    layer: str | None = None

    def value(self, activations: Activations) -> jax.Array:
        """The mean over all positions and channels, a scalar."""
        return jnp.mean(jnp.square(activations.layer(self.layer)))

    def layers(self) -> tuple[str | None, ...]:
        """The one layer."""
        return (self.layer,)

    def __str__(self) -> str:
        """The layer's name."""
        return f"layer {self.layer}" if self.layer else "layer"


class Direction(Objective):
    """Projection of a layer's activations on a direction in the space of its channels.

    Attributes:
        vector: [channels], or [unit, channels] for one direction per unit.
        layer: Name of a layer; the unit's own where left out.
        cosine: Exponent of the cosine that weights the projection. 0 is the plain projection;
            a larger exponent favours the angle over the length.

    Example:
        >>> print(Direction(vector=(1.0, -1.0), layer="conv1", cosine=2))
        direction of conv1 (cosine^2)

    References:
        Carter et al., Activation Atlas, 2019; `direction` with `cossim_pow` in lucid.
    """

    places: ClassVar[tuple[str, ...]] = ("vector",)
    kind: Literal["direction"] = "direction"
    vector: Vector
    layer: str | None = None
    cosine: float = Field(default=0.0, ge=0)

    def value(self, activations: Activations) -> jax.Array:
        """The mean projection over all positions, a scalar."""
        values = activations.layer(self.layer)
        vector = _direction(values, self.vector, activations)
        product = values @ vector
        if self.cosine:
            product = product * jnp.maximum(_cosine(values, vector), 0.1) ** self.cosine
        return jnp.mean(product)

    def fixed_units(self) -> int | None:
        """The number of directions."""
        return _count(self.vector)

    def layers(self) -> tuple[str | None, ...]:
        """The one layer."""
        return (self.layer,)

    def __str__(self) -> str:
        """The layer, and the cosine's exponent."""
        place = f" of {self.layer}" if self.layer else ""
        return f"direction{place}" + (f" (cosine^{self.cosine:g})" if self.cosine else "")


class Cosine(Objective):
    """Cosine between a layer's activations and a direction, whatever their length.

    Attributes:
        vector: [channels], or [unit, channels] for one direction per unit.
        layer: Name of a layer; the unit's own where left out.

    Example:
        >>> print(Cosine(vector=(1.0, -1.0)))
        cosine
    """

    places: ClassVar[tuple[str, ...]] = ("vector",)
    kind: Literal["cosine"] = "cosine"
    vector: Vector
    layer: str | None = None

    def value(self, activations: Activations) -> jax.Array:
        """The mean cosine over all positions, a scalar between -1 and 1."""
        values = activations.layer(self.layer)
        return jnp.mean(_cosine(values, _direction(values, self.vector, activations)))

    def fixed_units(self) -> int | None:
        """The number of directions."""
        return _count(self.vector)

    def layers(self) -> tuple[str | None, ...]:
        """The one layer."""
        return (self.layer,)

    def __str__(self) -> str:
        """The layer's name."""
        return f"cosine of {self.layer}" if self.layer else "cosine"


class Logit(Objective):
    """A class's score before softmax, which cannot rise by lowering other classes.

    Attributes:
        label: Number of the class; the unit's channel where left out.
        layer: Name of the output; the unit's own layer where left out.

    Example:
        >>> print(Logit(label=3))
        logit 3

    References:
        Simonyan et al., Deep Inside Convolutional Networks, 2013.
    """

    places: ClassVar[tuple[str, ...]] = ("label",)
    kind: Literal["logit"] = "logit"
    label: NonNegativeInt | None = None
    layer: str | None = None

    def value(self, activations: Activations) -> jax.Array:
        """The class's pre-activation, a scalar: the mean over all positions of a map."""
        layer = self.layer or activations.unit_layer
        before = activations.network.pre_activation(layer)
        return jnp.mean(activations.channel(before or layer, self.label))

    def layers(self) -> tuple[str | None, ...]:
        """The output."""
        return (self.layer,)

    def fixed_units(self) -> int | None:
        """None, or 1 where a class is named."""
        return None if self.label is None else 1

    def __str__(self) -> str:
        """The class's number."""
        return "logit" if self.label is None else f"logit {self.label}"


def trimmed_mean(channel: jax.Array, trim: int) -> jax.Array:
    """Mean of a channel's map without its border, which padding distorts.

    Args:
        channel: [*spatial], one channel of a layer; a scalar where the layer has no positions.
        trim: Positions left out on every side. Along an axis of n positions, at most
            (n − 1) // 2 are left out, so that a middle remains.

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
    return jnp.mean(_inner(channel, trim))


def _inner(channel: jax.Array, trim: int) -> jax.Array:
    edges = [min(trim, (n - 1) // 2) for n in channel.shape]
    return channel[tuple(slice(e, n - e) for e, n in zip(edges, channel.shape, strict=True))]


def _count(vector: tuple[float, ...] | _Rows) -> int:
    return len(vector) if isinstance(vector[0], tuple) else 1


def _direction(
    values: jax.Array, vector: tuple[float, ...] | _Rows, activations: Activations
) -> jax.Array:
    """The unit's direction, [channels]."""
    numbers = jnp.asarray(vector, values.dtype)
    if numbers.shape[-1] != values.shape[-1]:
        raise ConfigError(
            f"a direction of {numbers.shape[-1]} numbers does not fit a layer of "
            f"{values.shape[-1]} channels",
            hint="A direction has one number per channel of its layer.",
        )
    return numbers if numbers.ndim == 1 else numbers[activations.unit_channel]


def _cosine(values: jax.Array, vector: jax.Array) -> jax.Array:
    # The gradient of a square root is not finite at zero, where many ReLU layers start.
    squares = jnp.sum(jnp.square(values), axis=-1) * jnp.sum(jnp.square(vector))
    return values @ vector * jax.lax.rsqrt(jnp.maximum(squares, 1e-12))
