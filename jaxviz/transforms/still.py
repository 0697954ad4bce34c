"""Leaving out what would change nothing, for a whole batch at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

_DECIDED: ContextVar[bool | None] = ContextVar("decided", default=None)


@contextmanager
def decided(still: bool) -> Iterator[None]:
    """What is traced meanwhile has one branch alone: for counting what a step costs in each.

    A compiler counts both branches of a condition in every step.

    Args:
        still: Whether everything is left as it is.

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


def unless(
    still: jax.Array, function: Callable[[Any, Any], Any], x: jax.Array, numbers: Any
) -> jax.Array:
    """`function(x, numbers)`, or x as it is and at no cost where all of a batch are still.

    `jax.lax.cond` alone computes both sides as soon as units differ, and they are vmapped
    everywhere. Here one branch is taken for all of them: the function's, unless no unit needs it.

    Args:
        still: A boolean scalar: whether the function would leave x as it is.
        function: Affine in x, of the same shape; not differentiated by its numbers.
        x: An array.
        numbers: What else it is a function of, arrays.

    Example:
        >>> def twice(x, by): return by * x
        >>> float(unless(jnp.array(False), twice, jnp.array(3.0), jnp.array(2.0)))
        6.0
    """
    if (known := _DECIDED.get()) is not None:
        return x if known else function(x, numbers)

    @jax.custom_vjp
    def value(still: jax.Array, x: jax.Array, numbers: Any) -> jax.Array:
        return _unless(still, function, x, numbers)

    def forward(still: jax.Array, x: jax.Array, numbers: Any) -> Any:
        return _unless(still, function, x, numbers), (still, numbers)

    def back(g: jax.Array, numbers: Any) -> jax.Array:
        return jax.vjp(lambda x: function(x, numbers), jnp.zeros_like(g))[1](g)[0]

    def backward(kept: Any, g: jax.Array) -> Any:
        still, numbers = kept
        return None, _unless(still, back, g, numbers), None

    value.defvjp(forward, backward)
    return value(still, x, numbers)


def _unless(still: jax.Array, function: Callable[..., Any], x: jax.Array, numbers: Any) -> Any:
    """The same, without a gradient; `still` has the axes that have been mapped over so far."""

    @custom_vmap
    def one(still: jax.Array, x: jax.Array, numbers: Any) -> jax.Array:
        return jax.lax.cond(jnp.all(still), lambda: x, lambda: function(x, numbers))

    @one.def_vmap
    def many(size: int, mapped: Any, *arguments: Any) -> Any:
        def spread(is_mapped: bool, a: jax.Array) -> jax.Array:
            return a if is_mapped else jnp.broadcast_to(a, (size, *a.shape))

        still, x, numbers = jax.tree.map(spread, tuple(mapped), arguments)
        return _unless(still, jax.vmap(function), x, numbers), True

    return one(still, x, numbers)
