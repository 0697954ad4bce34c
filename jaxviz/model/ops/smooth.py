"""Smooth activations whose gradient is worked out again from what went in.

XLA keeps a map or two of each for the gradient, and works out what went in, a whole
depthwise convolution perhaps, once for each of them. Here what went in is all that is kept.
And a GELU, whose `erfc` takes an exponential and two polynomials, needs only an `erf`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxviz.model.ops.registry import implements
from jaxviz.spec import Activation

#: Of an activation whose gradient is worked out from its input.
SMOOTH = "input kept"
#: The same, of one whose input comes out of a loop that is not to be run again.
SMOOTH_APART = "input in memory"


def _normal(x: jax.Array) -> jax.Array:
    """The normal distribution's share below x."""
    return 0.5 * (1 + lax.erf(x * math.sqrt(0.5)))


def _gelu(x: jax.Array) -> jax.Array:
    return x * _normal(x)


def _gelu_slope(x: jax.Array) -> jax.Array:
    return _normal(x) + x * jnp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))


def _silu(x: jax.Array) -> jax.Array:
    return x * jax.nn.sigmoid(x)


def _silu_slope(x: jax.Array) -> jax.Array:
    share = jax.nn.sigmoid(x)
    return share * (1 + x * (1 - share))


_SMOOTH: dict[str, tuple[Callable[..., jax.Array], Callable[..., jax.Array]]] = {
    "gelu": (_gelu, _gelu_slope),
    "silu": (_silu, _silu_slope),
}


def is_smooth(op: Any) -> bool:
    """Whether an activation is one of those here."""
    return isinstance(op, Activation) and op.function in _SMOOTH and not any(op.arguments.values())


@implements(Activation, SMOOTH)
def smooth(op: Activation, weights: Mapping[str, jax.Array], x: jax.Array) -> jax.Array:
    """The activation, of which only the input is kept."""
    return _apply(op.function, x)


@implements(Activation, SMOOTH_APART)
def smooth_apart(op: Activation, weights: Mapping[str, jax.Array], x: jax.Array) -> jax.Array:
    """The same, with the input put into memory once."""
    return _apply(op.function, lax.optimization_barrier(x))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _apply(function: str, x: jax.Array) -> jax.Array:
    return _SMOOTH[function][0](x)


def _apply_forward(function: str, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return _apply(function, x), x


def _apply_backward(function: str, x: jax.Array, cotangent: jax.Array) -> tuple[jax.Array]:
    # The barrier keeps XLA from finding that it knows part of this from the way forward.
    return (cotangent * _SMOOTH[function][1](lax.optimization_barrier(x)),)


_apply.defvjp(_apply_forward, _apply_backward)
