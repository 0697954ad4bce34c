"""Skipping work that would change nothing, for a whole batch at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import PyTree

#: Arrays that a function depends on besides its first argument.
_Numbers: TypeAlias = PyTree[jax.Array]
_Function: TypeAlias = Callable[[jax.Array, _Numbers], jax.Array]

_DECIDED: ContextVar[bool | None] = ContextVar("decided", default=None)


@contextmanager
def decided(still: bool) -> Iterator[None]:
    """Trace one branch of `unless` alone, to count the cost of a step with it.

    A compiler counts both branches of a condition in every step.

    Args:
        still: Whether the branch that leaves everything unchanged is traced.

    Example:
        >>> def twice(x, by): return by * x
        >>> with decided(True):
        ...     float(unless(jnp.array(False), twice, jnp.array(3.0), jnp.array(2.0)))
        3.0
    """
    before = _DECIDED.set(still)
    try:
        yield
    finally:
        _DECIDED.reset(before)


def unless(still: jax.Array, function: _Function, x: jax.Array, numbers: _Numbers) -> jax.Array:
    """`function(x, numbers)`, or x unchanged and at no cost where a whole batch is still.

    Under vmap, `jax.lax.cond` computes both branches for every unit. Here all units of a batch
    take one branch: the function's, unless no unit needs it.

    Args:
        still: A boolean scalar, whether the function would leave x unchanged.
        function: Affine in x, and of x's shape. It is not differentiated by `numbers`.
        x: An array.
        numbers: Other arrays that the function depends on.

    Returns:
        An array of x's shape.

    Example:
        >>> def twice(x, by): return by * x
        >>> float(unless(jnp.array(False), twice, jnp.array(3.0), jnp.array(2.0)))
        6.0
    """
    if (known := _DECIDED.get()) is not None:
        return x if known else function(x, numbers)

    @jax.custom_vjp
    def value(still: jax.Array, x: jax.Array, numbers: _Numbers) -> jax.Array:
        return _unless(still, function, x, numbers)

    def forward(
        still: jax.Array, x: jax.Array, numbers: _Numbers
    ) -> tuple[jax.Array, tuple[jax.Array, _Numbers]]:
        return _unless(still, function, x, numbers), (still, numbers)

    def back(g: jax.Array, numbers: _Numbers) -> jax.Array:
        found: jax.Array = jax.vjp(lambda x: function(x, numbers), jnp.zeros_like(g))[1](g)[0]
        return found

    def backward(kept: tuple[jax.Array, _Numbers], g: jax.Array) -> tuple[None, jax.Array, None]:
        still, numbers = kept
        return None, _unless(still, back, g, numbers), None

    value.defvjp(forward, backward)
    found: jax.Array = value(still, x, numbers)
    return found


def _unless(still: jax.Array, function: _Function, x: jax.Array, numbers: _Numbers) -> jax.Array:
    """`unless` without a gradient; `still` has every axis that has been mapped over so far."""

    @custom_vmap
    def one(still: jax.Array, x: jax.Array, numbers: _Numbers) -> jax.Array:
        found: jax.Array = jax.lax.cond(jnp.all(still), lambda: x, lambda: function(x, numbers))
        return found

    @one.def_vmap
    def many(size: int, mapped: PyTree[bool], *arguments: _Numbers) -> tuple[jax.Array, bool]:
        def spread(is_mapped: bool, a: jax.Array) -> jax.Array:
            return a if is_mapped else jnp.broadcast_to(a, (size, *a.shape))

        still, x, numbers = jax.tree.map(spread, tuple(mapped), arguments)
        return _unless(still, jax.vmap(function), x, numbers), True

    found: jax.Array = one(still, x, numbers)
    return found
