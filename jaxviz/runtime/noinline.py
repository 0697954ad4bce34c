"""Functions that XLA computes by themselves, fused with nothing around them; for CPUs.

On a CPU XLA fuses an elementwise operation into every reader, and computes it again for each. A
depthwise convolution in front of a layer norm is computed up to five times. `optimization_barrier`
does not help, because XLA removes it before fusing. A call that must not be inlined is kept, and
its arguments and results are in memory.

In residual and dense blocks a map has several readers, and its gradient is the sum of theirs. Fused
with its readers, such a sum is computed again together with every sum behind it; `branching` keeps
it in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import TypeVar, cast

import jax
from jax.experimental.xla_metadata import set_xla_metadata

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


def apart(*static: int) -> Callable[[FunctionT], FunctionT]:
    """Compute a function by itself wherever it is called; for CPUs.

    Args:
        static: Positions of the arguments that are not arrays.

    Example:
        >>> import jax.numpy as jnp
        >>> @apart(1)
        ... def power(x, exponent):
        ...     return x**exponent
        >>> step = jax.jit(lambda x: power(x + 1, 3) * 2)
        >>> " call(" in step.lower(jnp.ones(4)).compile().as_text()
        True
    """

    def decorate(function: FunctionT) -> FunctionT:
        compiled = jax.jit(function, static_argnums=static)

        @wraps(function)
        def call(*arguments: object) -> object:
            with set_xla_metadata(inlineable="false"):
                return compiled(*arguments)

        return cast(FunctionT, call)

    return decorate


@apart()
def in_memory(x: jax.Array) -> jax.Array:
    """The array itself, computed once for all its readers; for CPUs."""
    return x


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def branching(x: jax.Array, forward: bool = False) -> jax.Array:
    """A map that several operations read, with its gradient computed once; for CPUs.

    Args:
        x: The map.
        forward: Compute the map itself once, too.
    """
    return in_memory(x) if forward else x


branching.defvjp(
    lambda x, forward: (branching(x, forward), None),
    lambda forward, _, cotangent: (in_memory(cotangent),),
)
