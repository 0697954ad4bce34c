"""What a network makes of one image, worked out only as far as somebody asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp

from jaxviz.model.channel import ChannelPlan, plan_channel, run_channel, run_whole
from jaxviz.model.graph import Params, run
from jaxviz.spec import Activation, ModelSpec, PRelu

#: The axis that a unit's replicates are mapped over, for objectives that compare them.
REPLICATES = "replicates"


@dataclass(frozen=True)
class Network:
    """A model's architecture and how it is computed, without its weights.

    Attributes:
        spec: The architecture.
        implementations: The implementation each node is computed in, by name.
        shape: (height, width, channels) of an image, from which channel counts follow.
        dtype: `bfloat16` computes in that; images go in and activations come out as they are.
    """

    spec: ModelSpec
    implementations: Mapping[str, str]
    shape: tuple[int, ...]
    dtype: str = "float32"
    _plans: dict[str, ChannelPlan] = field(default_factory=dict, repr=False, compare=False)

    def plan(self, layer: str) -> ChannelPlan:
        """How one channel of a layer is computed."""
        if layer not in self._plans:
            shapes = self.spec.shapes(self.input_shape(self.shape), targets=[layer])
            self._plans[layer] = plan_channel(self.spec, layer, shapes)
        return self._plans[layer]

    @property
    def line(self) -> bool:
        """Whether it takes a signal (length, channels), which is an image of one row here."""
        return len(self.spec.inputs[0].shape) == 2

    def feed(self, images: jax.Array) -> jax.Array:
        """[batch, height, width, channels] as the network takes them, and in its type."""
        fed = images[:, 0] if self.line else images
        return fed.astype(jnp.bfloat16) if self.dtype == "bfloat16" else fed

    def run(self, params: Params, images: jax.Array, layers: Sequence[str]) -> dict[str, jax.Array]:
        """[batch, *spatial, channels] by name: whole layers."""
        source = self.spec.inputs_of(layers)[0].name
        found = run(self.spec, params, {source: self.feed(images)}, layers, self.implementations)
        return {name: x.astype(images.dtype) for name, x in found.items()}

    def input_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of an image as the network takes it."""
        return shape[1:] if self.line else shape

    def before(self, layer: str) -> str | None:
        """The node that a layer is the activation of; None where it is no activation."""
        node = self.spec.by_name[layer]
        channelwise = isinstance(node.op, PRelu) or (
            isinstance(node.op, Activation) and node.op.function != "glu"
        )
        return node.inputs[0] if channelwise and node.inputs[0] in self.spec.by_name else None


@dataclass(frozen=True)
class Activations:
    """One image and what the network makes of it. Only what is asked for is computed.

    Asking twice costs nothing. What several questions need is computed once and shared: the
    compiler would merge repeated work on the way up, but not their gradients on the way down.

    Attributes:
        network: The architecture.
        params: Its weights.
        image: [height, width, channels] in the network's input units, as the network gets it.
        picture: [height, width, channels] in the preset's units, before any transform.
        latent: What is optimised; None where an image was given.
        unit_layer: The layer whose unit's picture is being made.
        unit_channel: Its channel, an integer scalar.
        progress: How much of the ascent is done, 0 to 1; a finished picture has 1.
        behind: Share of a channel's value that the most that goes into its activation at any
            position has, a scalar; None where the unit is not helped.
    """

    network: Network
    params: Params
    image: jax.Array
    picture: jax.Array
    latent: Any
    unit_layer: str
    unit_channel: jax.Array
    progress: jax.Array | float = 1.0
    behind: jax.Array | None = None
    _whole: dict[tuple[str, ...], dict[str, jax.Array]] = field(
        default_factory=dict, init=False, repr=False
    )

    def channel(self, layer: str | None = None, channel: int | None = None) -> jax.Array:
        """[*spatial]: one channel of a layer, the others not computed."""
        which = self.unit_channel if channel is None else jnp.int32(channel)
        plan, implementations = (
            self.network.plan(layer or self.unit_layer),
            self.network.implementations,
        )
        if plan.whole not in self._whole:
            image = self.network.feed(self.image[None])
            self._whole[plan.whole] = run_whole(plan, self.params, image[0], implementations)
        found = run_channel(plan, self.params, self._whole[plan.whole], which, implementations)
        return found.astype(self.image.dtype)

    def layer(self, layer: str | None = None) -> jax.Array:
        """[*spatial, channels]: a whole layer."""
        name = layer or self.unit_layer
        return self.network.run(self.params, self.image[None], [name])[name][0]

    def of(self, image: jax.Array) -> Activations:
        """The same of another image, in the network's input units."""
        return replace(self, image=image)
