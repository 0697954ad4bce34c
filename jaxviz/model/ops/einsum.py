"""Sums of products over named axes."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxviz.model.ops.conv import sizes_product
from jaxviz.model.ops.registry import ALL_CHANNELS, Rules, Weights, no_bounds, reference
from jaxviz.spec import Einsum, EinsumDense, Shape


def _einsum_dense_flops(op: EinsumDense, inputs: Sequence[Shape], output: Shape) -> int:
    return 2 * _products(op.equation, (None, *inputs[0]), op.kernel)


@reference(
    EinsumDense,
    Rules(flops=_einsum_dense_flops, bounds=no_bounds, one_channel=ALL_CHANNELS, stored=True),
)
def einsum_dense(op: EinsumDense, weights: Weights, x: jax.Array) -> jax.Array:
    """Product of the input and a kernel."""
    result = jnp.einsum(op.equation, x, weights["kernel"])
    return result + weights["bias"] if op.bias is not None else result


def _einsum_flops(op: Einsum, inputs: Sequence[Shape], output: Shape) -> int:
    return 2 * _products(op.equation, *((None, *shape) for shape in inputs))


@reference(
    Einsum, Rules(flops=_einsum_flops, bounds=no_bounds, one_channel=ALL_CHANNELS, stored=True)
)
def einsum(op: Einsum, weights: Weights, *inputs: jax.Array) -> jax.Array:
    """Product of two tensors."""
    return jnp.einsum(op.equation, *inputs)


def _products(equation: str, *shapes: Shape) -> int:
    """Multiplications for a batch of one: the product of the sizes of all named axes."""
    terms = equation.split("->")[0].split(",")
    sizes = {
        label: size or 1
        for term, shape in zip(terms, shapes, strict=True)
        for label, size in zip(term, shape, strict=True)
    }
    return sizes_product(tuple(sizes.values()))
