"""A network's activations for one image, computed only where an objective reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxviz.model.channel import ChannelPlan, plan_channel, run_channel, run_whole
from jaxviz.model.graph import Params, run
from jaxviz.spec import Activation, ModelSpec, PRelu

#: The axis that a unit's replicates are mapped over, for objectives that compare them.
REPLICATES = "replicates"
#: The optimised array, or a tree of arrays.
Latent: TypeAlias = PyTree[jax.Array]


@dataclass(frozen=True)
class Network:
    """A model's architecture and how it is computed, without its weights.

    Attributes:
        spec: The architecture.
        implementations: The implementation that computes each node, by the node's name.
        shape: (height, width, channels) of an image, from which channel counts follow.
        dtype: `float32`, or `bfloat16` to compute in. Images go in and activations come out
            in the type of the image.

    Example:
        >>> import jaxviz
        >>> spec = jaxviz.load_bundle(jaxviz.example("galaxy_cnn.keras")).spec
        >>> network = Network(spec, {}, (64, 64, 3))
        >>> network.pre_activation("conv1")
        'conv1/pre_activation'
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
        """Whether the input is a signal (length, channels), handled as an image of one row."""
        return len(self.spec.inputs[0].shape) == 2

    def feed(self, images: jax.Array) -> jax.Array:
        """Images as the network takes them, in the type that it computes in.

        Args:
            images: [batch, height, width, channels].

        Returns:
            The images, or [batch, length, channels] for a network that takes signals.
        """
        fed = images[:, 0] if self.line else images
        return fed.astype(jnp.bfloat16) if self.dtype == "bfloat16" else fed

    def run(self, params: Params, images: jax.Array, layers: Sequence[str]) -> dict[str, jax.Array]:
        """Compute whole layers.

        Args:
            params: The weights.
            images: [batch, height, width, channels] in the network's input units.
            layers: Names of the layers.

        Returns:
            [batch, *spatial, channels] by layer, in the type of the images.
        """
        source = self.spec.inputs_of(layers)[0].name
        found = run(self.spec, params, {source: self.feed(images)}, layers, self.implementations)
        return {name: x.astype(images.dtype) for name, x in found.items()}

    def input_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """An image's shape as the network takes it: (length, channels) for a signal."""
        return shape[1:] if self.line else shape

    def pre_activation(self, layer: str) -> str | None:
        """The node whose activation function is a layer; None where the layer is none."""
        node = self.spec.by_name[layer]
        channelwise = isinstance(node.op, PRelu) or (
            isinstance(node.op, Activation) and node.op.function != "glu"
        )
        return node.inputs[0] if channelwise and node.inputs[0] in self.spec.by_name else None


@dataclass(frozen=True)
class Activations:
    """A network's activations for one image; only those that are read are computed.

    A second read costs nothing. What several reads have in common is computed once and shared:
    the compiler merges repeated work in the forward pass, but not in its gradients.

    Attributes:
        network: The architecture.
        params: The weights.
        image: [height, width, channels] in the network's input units, after all transforms.
        picture: [height, width, channels] in the preset's units, before any transform.
        latent: The optimised array; None where an image was given.
        unit_layer: The unit's layer.
        unit_channel: The unit's channel, an integer scalar.
        progress: Share of the ascent that is done, 0 to 1; a finished picture has 1.
        pre_activation_weight: Weight (0 to 1) of the maximum pre-activation over all positions
            in a channel's value, a scalar; None where the unit is not rescued.
    """

    network: Network
    params: Params
    image: jax.Array
    picture: jax.Array
    latent: Latent | None
    unit_layer: str
    unit_channel: jax.Array
    progress: jax.Array | float = 1.0
    pre_activation_weight: jax.Array | None = None
    _whole: dict[tuple[str, ...], dict[str, jax.Array]] = field(
        default_factory=dict, init=False, repr=False
    )

    def channel(self, layer: str | None = None, channel: int | None = None) -> jax.Array:
        """One channel of a layer; other channels of the layer are not computed.

        Args:
            layer: Name of the layer; the unit's own where left out.
            channel: Number of the channel; the unit's own where left out.

        Returns:
            [*spatial]; a scalar where the layer has no positions.
        """
        which = self.unit_channel if channel is None else jnp.int32(channel)
        plan = self.network.plan(layer or self.unit_layer)
        implementations = self.network.implementations
        if plan.whole not in self._whole:
            image = self.network.feed(self.image[None])
            self._whole[plan.whole] = run_whole(plan, self.params, image[0], implementations)
        found = run_channel(plan, self.params, self._whole[plan.whole], which, implementations)
        return found.astype(self.image.dtype)

    def layer(self, layer: str | None = None) -> jax.Array:
        """A whole layer.

        Args:
            layer: Name of the layer; the unit's own where left out.

        Returns:
            [*spatial, channels].
        """
        name = layer or self.unit_layer
        return self.network.run(self.params, self.image[None], [name])[name][0]

    def of(self, image: jax.Array) -> Activations:
        """Activations of the same network and unit for another image.

        Args:
            image: [height, width, channels] in the network's input units.
        """
        return replace(self, image=image)
