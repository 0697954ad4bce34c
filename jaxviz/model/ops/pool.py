"""Pooling."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxviz.model.ops.conv import SLICES
from jaxviz.model.ops.elementwise import relu, relu_kept
from jaxviz.model.ops.registry import (
    CPU,
    MOVED,
    MOVED_DIRECT,
    SAME_CHANNEL,
    Rules,
    Weights,
    implements,
    no_bounds,
    no_products,
    prefer,
    reference,
    same_bounds,
)
from jaxviz.model.ops.shifted import shifted_sum
from jaxviz.model.ops.windows import (
    Ints,
    Pairs,
    pad_spatial,
    sum_over_windows,
    window_counts,
    window_slice,
)
from jaxviz.runtime.noinline import branching
from jaxviz.spec import GlobalPool, Op, Pad, Pool, Shape
from jaxviz.spec.op import padding_amounts


@reference(
    Pool,
    Rules(flops=no_products, bounds=same_bounds, one_channel=SAME_CHANNEL, stored=True),
)
def pool(op: Pool, weights: Weights, x: jax.Array) -> jax.Array:
    """Pooling by XLA."""
    padding = _pool_padding(op, x.shape[1:-1])
    if op.kind == "max":
        return _reduce_window(x, -jnp.inf, lax.max, op, padding)
    total = _reduce_window(x, 0.0, lax.add, op, padding)
    return total / _counts(op, x.shape, padding)


@prefer(Pool, SLICES, on=CPU, rank=10)
def _any_pool(op: Pool, shape: Shape) -> bool:
    """Always."""
    return True


@implements(Pool, SLICES, rereads_gradient=True)
def pool_slices(op: Pool, weights: Weights, x: jax.Array) -> jax.Array:
    """Pooling over shifted copies, with a written-out gradient.

    XLA's gradient of a maximum (select-and-scatter) runs on one thread without vectors, 10 times
    slower. On a tie, the first position of the window takes the gradient, as in TensorFlow.
    """
    padding = _pool_padding(op, x.shape[1:-1])
    if op.kind == "max":
        return _max_slices(x, op.window, op.strides, padding)
    ones = (1,) * len(op.window)
    kernel = jnp.ones((*op.window, x.shape[-1]), x.dtype)
    total = shifted_sum(x, kernel, op.strides, ones, padding, True)
    # With a stride, several positions read each number of the gradient; it is divided once.
    return branching(total) / _counts(op, x.shape, padding)


@implements(Pool, MOVED, rereads_gradient=True)
def pool_and_relu(op: Pool, weights: Weights, x: jax.Array) -> jax.Array:
    """Maximum pooling, then the ReLU that stood before it.

    Values and gradients are equal, because a maximum and a ReLU commute, and a window without
    positive values passes no gradient either way.
    """
    return relu(pool_slices(op, weights, x))


@implements(Pool, MOVED_DIRECT)
def pool_and_relu_direct(op: Pool, weights: Weights, x: jax.Array) -> jax.Array:
    """XLA's pooling, then the ReLU that stood before it: one map in memory instead of two."""
    return relu_kept(pool(op, weights, x))


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _max_slices(x: jax.Array, window: Ints, strides: Ints, padding: Pairs) -> jax.Array:
    return _max_and_winner(x, window, strides, padding)[0]


def _max_and_winner(
    x: jax.Array, window: Ints, strides: Ints, padding: Pairs
) -> tuple[jax.Array, jax.Array]:
    padded = pad_spatial(x, padding, -np.inf)
    ones = (1,) * len(window)
    sizes = window_counts(x.shape[1:-1], window, strides, ones, padding)
    best = winner = None
    for index, offset in enumerate(np.ndindex(*window)):
        value = window_slice(padded, offset, strides, ones, sizes)
        if best is None or winner is None:
            kind = jnp.int8 if np.prod(window) < 127 else jnp.int32
            best, winner = value, jnp.zeros(value.shape, kind)
        else:
            winner = jnp.where(value > best, winner.dtype.type(index), winner)
            best = jnp.maximum(best, value)
    assert best is not None
    assert winner is not None
    return best, winner


def _max_forward(
    x: jax.Array, window: Ints, strides: Ints, padding: Pairs
) -> tuple[jax.Array, tuple[jax.Array, Ints]]:
    best, winner = _max_and_winner(x, window, strides, padding)
    return best, (winner, x.shape)


def _max_backward(
    window: Ints, strides: Ints, padding: Pairs, kept: tuple[jax.Array, Ints], cotangent: jax.Array
) -> tuple[jax.Array]:
    winner, shape = kept

    def term(offsets: np.ndarray, winner: jax.Array, cotangent: jax.Array) -> jax.Array:
        chosen = winner == offsets.astype(winner.dtype)
        return jnp.where(chosen, cotangent, jnp.zeros((), cotangent.dtype))

    return (sum_over_windows(shape[1:-1], window, strides, padding, (winner, cotangent), term),)


_max_slices.defvjp(_max_forward, _max_backward)


@reference(GlobalPool, Rules(flops=no_products, bounds=no_bounds, one_channel=SAME_CHANNEL))
def global_pool(op: GlobalPool, weights: Weights, x: jax.Array) -> jax.Array:
    """Maximum or mean over all spatial axes."""
    axes = tuple(range(1, x.ndim - 1))
    collapse = jnp.max if op.kind == "max" else jnp.mean
    return collapse(x, axis=axes, keepdims=op.keepdims)


def is_maximum(op: Op) -> bool:
    """Whether an operation is a maximum pooling."""
    return isinstance(op, Pool) and op.kind == "max"


def pads_pool(pad: Op, pool: Op) -> bool:
    """Whether `pad` puts zeros around a pooling's map, and no window holds zeros alone."""
    if not (isinstance(pad, Pad) and isinstance(pool, Pool) and pool.padding == "valid"):
        return False
    return all(max(pair) < k for pair, k in zip(pad.amounts, pool.window, strict=True))


def _pool_padding(op: Pool, sizes: Ints) -> Pairs:
    return padding_amounts(op.padding, sizes, op.window, op.strides, (1,) * len(sizes))


def _reduce_window(
    x: jax.Array,
    start: float,
    combine: Callable[[jax.Array, jax.Array], jax.Array],
    op: Pool,
    padding: Pairs,
) -> jax.Array:
    result: jax.Array = lax.reduce_window(
        x,
        np.asarray(start, x.dtype),
        combine,
        (1, *op.window, 1),
        (1, *op.strides, 1),
        ((0, 0), *padding, (0, 0)),
    )
    return result


def _counts(op: Pool, shape: Ints, padding: Pairs) -> np.ndarray:
    """How many real positions each window covers, without padding."""
    counts = np.ones((), np.float32)
    for n, k, s, (low, high) in zip(shape[1:-1], op.window, op.strides, padding, strict=True):
        starts = np.arange(0, n + low + high - k + 1, s) - low
        covered = np.minimum(starts + k, n) - np.maximum(starts, 0)
        counts = np.multiply.outer(counts, covered)
    return counts[None, ..., None].astype(np.float32)
