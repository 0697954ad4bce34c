"""Run a spec: a pure function of weights and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from jaxviz.model.ops import DIRECT, compute
from jaxviz.model.ops.registry import BOTH_WAYS
from jaxviz.runtime.noinline import branching
from jaxviz.spec import ModelSpec, Node

#: Arrays by layer and by name within the layer.
Params = Mapping[str, Mapping[str, jax.Array]]


def run(
    spec: ModelSpec,
    params: Params,
    images: Mapping[str, jax.Array],
    taps: Sequence[str],
    implementations: Mapping[str, str] | None = None,
) -> dict[str, jax.Array]:
    """Compute the named nodes, and nothing that they do not need.

    Args:
        spec: The architecture.
        params: Weights by layer and name.
        images: Input tensors [batch, …, channels] by input name. If they and the kernels are
            bfloat16, every result is.
        taps: Names of nodes or inputs.
        implementations: From `jaxviz.model.dispatch.choose_implementations`; `direct` for nodes
            that are not in it.

    Returns:
        {name: activations [batch, …, channels]}.
    """
    values = dict(images)
    for node in spec.upstream(taps):
        inputs = [values[name] for name in node.inputs]
        implementation = (implementations or {}).get(node.name, DIRECT)
        result = compute(
            node.op, node_weights(node, params), *inputs, implementation=implementation
        )
        values[node.name] = as_narrow_as(inputs[0], result)
        branches = (implementations or {}).get(branches_key(node.name))
        if branches:
            values[node.name] = branching(values[node.name], branches == BOTH_WAYS)
    return {name: values[name] for name in taps}


def as_narrow_as(before: jax.Array, result: jax.Array) -> jax.Array:
    """A result, rounded to bfloat16 if its input was bfloat16; some weights are wider."""
    return result.astype(before.dtype) if before.dtype == jnp.bfloat16 else result


def node_weights(node: Node, params: Params) -> dict[str, jax.Array]:
    """The weights of one node by role, with those derived for its implementation."""
    weights = {role: params[node.layer][name] for role, name in node.weights.items()}
    return {**weights, **params.get(derived_key(node), {})}


def branches_key(name: str) -> str:
    """Key in `implementations` for what is kept in memory of a node that several nodes read."""
    return f"{name}\0branches"


def derived_key(node: Node) -> str:
    """Key in the weights, which no layer has as a name, for the derived weights of a node."""
    return f"{node.name}\0derived"
