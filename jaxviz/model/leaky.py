"""Activation functions that let gradients through where they are flat.

The values are exact. Only the gradient differs: where a ReLU is closed (or a bounded one
saturated) it passes on as if there were no activation, which shows a unit that fires
nowhere the way to where it does.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax

from jaxviz.model.graph import Params, derived_key
from jaxviz.model.ops.elementwise import activation
from jaxviz.model.ops.pool import SLICES
from jaxviz.model.ops.registry import DIRECT, LOWEST, MOVED, MOVED_DIRECT, implements
from jaxviz.spec import Activation, ModelSpec

LEAKY = "leaky"
_LEAK = "leak"
# of a pooling that does a ReLU's work, and of what is around the map: what leaves it to the ReLU
_ALONE = {MOVED: SLICES, MOVED_DIRECT: DIRECT, LOWEST: DIRECT}
_FLAT = frozenset({"relu", "hard_tanh", "hard_sigmoid", "hard_sigmoid_keras2", "threshold"})


@implements(Activation, LEAKY)
def leaky(op: Activation, weights: Mapping[str, jax.Array], x: jax.Array) -> jax.Array:
    """The activation; where it is flat, a share of the identity's gradient passes.

    The share is the weight `leak`, which `with_leak` adds; nothing passes without it.
    """
    y = activation(op, weights, x)
    if op.function not in _FLAT or _LEAK not in weights:
        return y
    missing = x - y
    return y + weights[_LEAK] * (missing - jax.lax.stop_gradient(missing))


def leaky_implementations(spec: ModelSpec, implementations: Mapping[str, str]) -> dict[str, str]:
    """The same implementations with every activation leaky."""
    names = (node.name for node in spec.nodes if isinstance(node.op, Activation))
    pools = {
        name: _ALONE[implementation]
        for name, implementation in implementations.items()
        if implementation in _ALONE
    }
    return {**implementations, **pools, **dict.fromkeys(names, LEAKY)}


def with_leak(spec: ModelSpec, params: Params, leak: jax.Array) -> Params:
    """Weights with the share of the gradient that leaky activations let through, a scalar."""
    # one number for all channels; with an axis, so that one channel can be asked for
    share = {_LEAK: leak[None]}
    nodes = (node for node in spec.nodes if isinstance(node.op, Activation))
    return {**params, **{derived_key(node): share for node in nodes}}
