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
    """The results of the named nodes; nothing is computed that they do not need.

    Args:
        spec: The architecture.
        params: Weights by layer and name.
        images: Input tensors [batch, …, channels] by input name. Where they are bfloat16, and
            so are the kernels, every result is.
        taps: Names of nodes or inputs.
        implementations: Implementation of each node, by node name, and by `branches_key` what
            of its branches is kept in memory (`jaxviz.model.dispatch`).

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
    """A result in bfloat16 where its input was: some weights and constants are wider."""
    return result.astype(before.dtype) if before.dtype == jnp.bfloat16 else result


def node_weights(node: Node, params: Params) -> dict[str, jax.Array]:
    """The weights of one node, by role, and those derived from them for its implementation."""
    weights = {role: params[node.layer][name] for role, name in node.weights.items()}
    return {**weights, **params.get(derived_key(node), {})}


def branches_key(name: str) -> str:
    """Key, no node's name, under which `implementations` says what of a node's branches is kept."""
    return f"{name}\0branches"


def derived_key(node: Node) -> str:
    """Under what name, which no layer has, the derived weights of a node are kept."""
    return f"{node.name}\0derived"
