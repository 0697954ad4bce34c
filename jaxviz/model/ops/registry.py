"""Which function computes which operation, and in which implementations.

Every operation has the implementation `direct`: XLA's own, differentiable in everything, the
reference. An operation may have other exact implementations that are faster on some platform;
`jaxviz.model.dispatch` chooses among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import numpy as np

from jaxviz.spec import Op

#: (operation, weights by role, inputs [batch, …, channels]) -> result [batch, …, channels]
Implementation = Callable[..., jax.Array]
ImplementationT = TypeVar("ImplementationT", bound=Implementation)

#: (operation, weights by role) -> further weights that a implementation computes once beforehand.
Prepare = Callable[[Any, Mapping[str, Any]], dict[str, np.ndarray]]
PrepareT = TypeVar("PrepareT", bound=Prepare)

DIRECT = "direct"
#: Of a batch norm whose factors the convolution before it has taken over.
FOLDED = "folded"
#: Of a ReLU whose result is kept for the gradient, instead of what went into it.
KEPT = "result kept"
#: Of an activation that works its gradient out from its input again.
INPUT_KEPT = "input kept"
#: Of a ReLU, and of the maximum pooling behind it that does its work on fewer values.
MOVED = "relu moved"
#: The same of a pooling that XLA does, where its own implementation is the fast one.
MOVED_DIRECT = "relu moved, direct"
#: With a gradient that is not the one autodiff finds.
WRITTEN_OUT = "written out"
#: Of what is put around a map before such a pooling: lower than any value, so it never counts.
LOWEST = "lowest around"
#: Of the branches behind a node: the sum of their gradients in memory, or the result as well.
BACKWARD, BOTH_WAYS = "gradient apart", "apart both ways"
IMPLEMENTATIONS: dict[type[Op], dict[str, Implementation]] = {}
PREPARE: dict[tuple[type[Op], str], Prepare] = {}


def implements(
    op: type[Op], implementation: str = DIRECT
) -> Callable[[ImplementationT], ImplementationT]:
    """Register a function as a implementation of an operation."""

    def register(function: ImplementationT) -> ImplementationT:
        IMPLEMENTATIONS.setdefault(op, {})[implementation] = function
        return function

    return register


def prepares(op: type[Op], implementation: str) -> Callable[[PrepareT], PrepareT]:
    """Register what a implementation of an operation makes of its weights once, before any step."""

    def register(function: PrepareT) -> PrepareT:
        PREPARE[op, implementation] = function
        return function

    return register


def implemented(op: Op, implementation: str) -> bool:
    """Whether an operation has a implementation of that name."""
    return implementation in IMPLEMENTATIONS.get(type(op), {})


def compute(
    op: Any, weights: Mapping[str, jax.Array], *inputs: jax.Array, implementation: str = DIRECT
) -> jax.Array:
    """The result of one operation, in the implementation of that name."""
    return IMPLEMENTATIONS[type(op)][implementation](op, weights, *inputs)
