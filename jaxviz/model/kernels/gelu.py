"""GELU that keeps only its input for the gradient.

XLA's GELU computes an `erfc`, an exponential and two polynomials, and keeps two maps. An `erf` is
half the arithmetic. Where the input is in memory already, reading it again is cheaper than keeping
two more maps.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax

from jaxviz.model.ops.registry import (
    CPU,
    INPUT_KEPT,
    Surroundings,
    Weights,
    implements,
    prefer_beside,
)
from jaxviz.spec import Activation


@prefer_beside(Activation, INPUT_KEPT, on=CPU)
def suits_gelu(op: Activation, around: Surroundings) -> bool:
    """Whether an activation is an exact GELU whose input is in memory."""
    exact = op.function == "gelu" and not op.arguments.get("approximate")
    return exact and around.input_in_memory


@implements(Activation, INPUT_KEPT)
def gelu_of_kept(op: Activation, weights: Weights, x: jax.Array) -> jax.Array:
    """GELU whose gradient is recomputed from its input."""
    return _gelu(x)


@jax.custom_vjp
def _gelu(x: jax.Array) -> jax.Array:
    return x * _share_below(x)


def _share_below(x: jax.Array) -> jax.Array:
    """Share of the standard normal distribution below x."""
    return 0.5 * (1 + lax.erf(x * math.sqrt(0.5)))


def _gelu_forward(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return _gelu(x), x


def _gelu_backward(x: jax.Array, cotangent: jax.Array) -> tuple[jax.Array]:
    # The barrier keeps XLA from storing parts of this on the way forward.
    x = lax.optimization_barrier(x)
    density = jnp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    return (cotangent * (_share_below(x) + x * density),)


_gelu.defvjp(_gelu_forward, _gelu_backward)
