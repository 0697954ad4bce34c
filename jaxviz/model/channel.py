"""One channel of a layer, computed without the others.

A unit needs one channel of its layer. The demand for one channel passes up the graph through
operations that keep channels apart: activation, batch norm, sum, pooling, depthwise convolution.
The demand ends at the convolutions that make the channel, and at results that are needed whole
anyway. The result is exact, and for a shallow layer most of the work is saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax

from jaxviz.model.graph import Params, as_narrow_as, node_weights, run
from jaxviz.model.ops import DIRECT, rules_of
from jaxviz.model.ops.registry import implementation_of, take_channel
from jaxviz.spec import ModelSpec, Node, Shape

#: From this size of a pooled map, a gradient as a product costs less than one recomputed.
LARGE = 1 << 18


@dataclass(frozen=True)
class ChannelPlan:
    """The nodes that are computed whole, and those computed for one channel alone.

    Attributes:
        spec: The architecture.
        layer: The node whose channel is wanted.
        whole: Names of nodes (and inputs) that are computed whole and then read.
        single: Nodes computed for one channel, in order; the last is the layer's.
        passing: Names of the `single` nodes that need only the same channel of their inputs.
    """

    spec: ModelSpec
    layer: str
    whole: tuple[str, ...]
    single: tuple[Node, ...]
    passing: frozenset[str]


def plan_channel(spec: ModelSpec, layer: str, shapes: Mapping[str, Shape]) -> ChannelPlan:
    """Find how far up from a layer one channel is enough.

    Args:
        spec: The architecture.
        layer: Name of a node.
        shapes: Shape of every node upstream, from `ModelSpec.shapes`.
    """
    single: set[str] = {layer}
    full: set[str] = set()
    for node in reversed(spec.upstream([layer])):
        if node.name in full:
            full.update(node.inputs)
        elif node.name in single:
            if _passes(node, shapes):
                single.update(node.inputs)
            else:
                full.update(node.inputs)
                if rules_of(node.op).one_channel.from_whole is None:
                    full.add(node.name)
    alone = tuple(n for n in spec.upstream([layer]) if n.name in single and n.name not in full)
    made = {node.name for node in alone}
    read = dict.fromkeys(name for node in alone for name in node.inputs if name not in made)
    passing = frozenset(node.name for node in alone if _passes(node, shapes))
    return ChannelPlan(spec, layer, tuple(read) or (layer,), alone, passing)


def _passes(node: Node, shapes: Mapping[str, Shape]) -> bool:
    """Whether channel k of the result needs only channel k of every input."""
    same = all(shapes[i][-1:] == shapes[node.name][-1:] for i in node.inputs)
    return bool(node.op.channelwise) and same


def run_whole(
    plan: ChannelPlan,
    params: Params,
    image: jax.Array,
    implementations: Mapping[str, str] | None = None,
) -> dict[str, jax.Array]:
    """The nodes that a plan needs whole: the expensive part of `run_channel`.

    Args:
        plan: From `plan_channel`.
        params: Weights by layer and name.
        image: [height, width, channels] in the model's input units.
        implementations: Implementation of each node, by node name.

    Returns:
        {name: activations [1, …, channels]}.
    """
    source = plan.spec.inputs_of([plan.layer])[0].name
    return run(plan.spec, params, {source: image[None]}, plan.whole, implementations)


def run_channel(
    plan: ChannelPlan,
    params: Params,
    whole: Mapping[str, jax.Array],
    channel: jax.Array,
    implementations: Mapping[str, str] | None = None,
) -> jax.Array:
    """One channel of a layer, for one image.

    Args:
        plan: From `plan_channel`.
        params: Weights by layer and name.
        whole: From `run_whole`, of one image in the model's input units.
        channel: Which channel, an integer scalar.
        implementations: Implementation of each node, by node name.

    Returns:
        [*spatial]: the channel's map; a scalar for a layer without spatial axes.
    """
    implementations = implementations or {}
    single: dict[str, jax.Array] = {}
    for node in plan.single:
        weights = node_weights(node, params)
        rule = rules_of(node.op).one_channel
        if node.name in plan.passing:
            assert rule.from_same is not None
            inputs = [
                single[i] if i in single else take_channel(whole[i], channel) for i in node.inputs
            ]
            implementation = implementations.get(node.name, DIRECT)
            result = rule.from_same(node.op, weights, channel, inputs, implementation)
        else:
            assert rule.from_whole is not None
            inputs = [whole[node.inputs[0]]]
            apart = _gradient_is_reread(plan.spec, node, implementations)
            apart = apart and inputs[0].size >= LARGE
            result = rule.from_whole(node.op, weights, channel, inputs[0], apart)
        single[node.name] = as_narrow_as(inputs[0], result)
    result = single[plan.layer] if plan.single else take_channel(whole[plan.layer], channel)
    return result[0, ..., 0]


def _gradient_is_reread(spec: ModelSpec, node: Node, implementations: Mapping[str, str]) -> bool:
    """Whether the node before reads its gradient several times, with everything fused into it."""
    source = spec.by_name.get(node.inputs[0])
    if source is None:
        return False
    return implementation_of(source.op, implementations.get(source.name)).rereads_gradient
