"""Activation functions that let gradients through where they are flat.

Values are exact; only the gradient differs. Where a ReLU is closed, or a bounded one saturated,
a share of the identity's gradient passes. So a unit that fires nowhere still finds a way to fire.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax

from jaxviz.model.graph import Params, derived_key
from jaxviz.model.ops.conv import SLICES
from jaxviz.model.ops.elementwise import activation
from jaxviz.model.ops.registry import (
    DIRECT,
    LOWEST,
    MOVED,
    MOVED_DIRECT,
    Weights,
    implemented,
    implements,
)
from jaxviz.spec import Activation, ModelSpec

LEAKY = "leaky"
_LEAK = "leak"
# Implementations of a pooling that takes over a ReLU, and of the padding before that pooling;
# each with the one that leaves the work to the ReLU.
_ALONE = {MOVED: SLICES, MOVED_DIRECT: DIRECT, LOWEST: DIRECT}
_FLAT = frozenset({"relu", "hard_tanh", "hard_sigmoid", "hard_sigmoid_keras2", "threshold"})


@implements(Activation, LEAKY)
def leaky(op: Activation, weights: Weights, x: jax.Array) -> jax.Array:
    """An activation that passes a share of the identity's gradient where the activation is flat.

    The share is the weight `leak`, which `with_leak` adds; without that weight nothing passes.
    """
    y = activation(op, weights, x)
    if op.function not in _FLAT or _LEAK not in weights:
        return y
    missing = x - y
    return y + weights[_LEAK] * (missing - jax.lax.stop_gradient(missing))


def leaky_implementations(spec: ModelSpec, implementations: Mapping[str, str]) -> dict[str, str]:
    """Implementations like the given ones, but with every activation leaky."""
    names = (node.name for node in spec.nodes if implemented(node.op, LEAKY))
    pools = {
        name: _ALONE[implementation]
        for name, implementation in implementations.items()
        if implementation in _ALONE
    }
    return {**implementations, **pools, **dict.fromkeys(names, LEAKY)}


def with_leak(spec: ModelSpec, params: Params, leak: jax.Array) -> Params:
    """Weights with the share of the gradient that passes leaky activations.

    Args:
        spec: The architecture.
        params: Weights by layer and name.
        leak: The share, a scalar from 0 to 1.
    """
    # One number for all channels, with an axis that one channel can be taken of.
    share = {_LEAK: leak[None]}
    nodes = (node for node in spec.nodes if implemented(node.op, LEAKY))
    return {**params, **{derived_key(node): share for node in nodes}}
