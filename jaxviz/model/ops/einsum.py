"""Sums of products over named axes."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from jaxviz.model.ops.registry import implements
from jaxviz.spec import Einsum, EinsumDense

Weights = Mapping[str, jax.Array]


@implements(EinsumDense)
def einsum_dense(op: EinsumDense, weights: Weights, x: jax.Array) -> jax.Array:
    """The input and a kernel."""
    result = jnp.einsum(op.equation, x, weights["kernel"])
    return result + weights["bias"] if op.bias is not None else result


@implements(Einsum)
def einsum(op: Einsum, weights: Weights, *inputs: jax.Array) -> jax.Array:
    """Two tensors."""
    return jnp.einsum(op.equation, *inputs)
