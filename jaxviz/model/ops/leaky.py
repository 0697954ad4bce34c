"""Activation functions that let gradients through where they are flat.

The values are exact. Only the gradient differs: where a ReLU is closed (or a bounded one
saturated) it passes on as if there were no activation, which shows a unit that fires
nowhere the way to where it does.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax

from jaxviz.model.ops.elementwise import activation
from jaxviz.model.ops.registry import implements
from jaxviz.spec import Activation, ModelSpec

LEAKY = "leaky"
_FLAT = frozenset({"relu", "hard_tanh", "hard_sigmoid", "hard_sigmoid_keras2", "threshold"})


@implements(Activation, LEAKY)
def leaky(op: Activation, weights: Mapping[str, jax.Array], x: jax.Array) -> jax.Array:
    """The activation, with the gradient of the identity wherever it has another value."""
    y = activation(op, weights, x)
    if op.function not in _FLAT:
        return y
    missing = x - y
    return y + (missing - jax.lax.stop_gradient(missing))


def leaky_forms(spec: ModelSpec, forms: Mapping[str, str]) -> dict[str, str]:
    """The same forms with every activation leaky."""
    names = (node.name for node in spec.nodes if isinstance(node.op, Activation))
    return {**forms, **dict.fromkeys(names, LEAKY)}
