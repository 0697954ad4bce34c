"""GELU of which only the input is kept.

XLA's takes an `erfc`, an exponential and two polynomials, and keeps two maps for the
gradient. An `erf` is half of that; and where what goes in is in memory already, reading it
again is less work than keeping more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxviz.model.ops.registry import INPUT_KEPT, implements
from jaxviz.spec import Activation


def is_gelu(op: Any) -> bool:
    """Whether an operation is a GELU that is not approximated."""
    return (
        isinstance(op, Activation) and op.function == "gelu" and not op.arguments.get("approximate")
    )


@implements(Activation, INPUT_KEPT)
def gelu_of_kept(op: Activation, weights: Mapping[str, jax.Array], x: jax.Array) -> jax.Array:
    """A GELU that works its gradient out from its input again."""
    return _gelu(x)


@jax.custom_vjp
def _gelu(x: jax.Array) -> jax.Array:
    return x * _share_below(x)


def _share_below(x: jax.Array) -> jax.Array:
    """Of the normal distribution."""
    return 0.5 * (1 + lax.erf(x * math.sqrt(0.5)))


def _gelu_forward(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return _gelu(x), x


def _gelu_backward(x: jax.Array, cotangent: jax.Array) -> tuple[jax.Array]:
    # The barrier keeps XLA from finding that it knows part of this from the way forward.
    x = lax.optimization_barrier(x)
    density = jnp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    return (cotangent * (_share_below(x) + x * density),)


_gelu.defvjp(_gelu_forward, _gelu_backward)
