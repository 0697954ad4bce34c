"""What XLA is to compute by itself, joined with nothing around it.

On a CPU XLA joins whatever is computed number by number with all that reads it, and works it
out again for each of them: a 7×7 depthwise convolution in a ConvNeXt up to five times over, for the
two sums and the result of the layer norm behind it, and on the way back. `optimization_barrier`
keeps nothing from that: it is gone before anything is joined. A call that is not to be taken apart
is still there, and what goes in and comes out of it is in memory.

Where a map has several readers, as in residual and dense blocks, what they have for its gradient is
added up. Joined with what reads it, the sum of one block is worked out again in the next, with all
sums behind it; `branching` has it in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import TypeVar, cast

import jax
from jax.experimental.xla_metadata import set_xla_metadata

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


def apart(*static: int) -> Callable[[FunctionT], FunctionT]:
    """Let a function of arrays be computed by itself, wherever it is called; for CPUs alone.

    Args:
        static: Numbers of the arguments that are no arrays.

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
    """The same, worked out once whoever reads it; for CPUs alone."""
    return x


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def branching(x: jax.Array, forward: bool = False) -> jax.Array:
    """A map that several operations read, with its gradient in memory; for CPUs alone.

    Args:
        x: The map.
        forward: Whether to have the map itself in memory too.
    """
    return in_memory(x) if forward else x


branching.defvjp(
    lambda x, forward: (branching(x, forward), None),
    lambda forward, _, cotangent: (in_memory(cotangent),),
)
