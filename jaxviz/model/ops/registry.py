"""Which function computes which operation, and in which forms.

Every operation has the form `direct`: XLA's own, differentiable in everything, the
reference. An operation may have other exact forms that are faster on some platform;
`jaxviz.model.dispatch` chooses among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import numpy as np

from jaxviz.spec import Op

#: (operation, weights by role, inputs [batch, …, channels]) -> result [batch, …, channels]
Form = Callable[..., jax.Array]
FormT = TypeVar("FormT", bound=Form)

#: (operation, weights by role) -> further weights that a form computes once beforehand.
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
#: The same of a pooling that XLA does, where its own form is the fast one.
MOVED_DIRECT = "relu moved, direct"
#: With a gradient that is not the one autodiff finds.
WRITTEN_OUT = "written out"
#: Of what is put around a map before such a pooling: lower than any value, so it never counts.
LOWEST = "lowest around"
#: Of the branches behind a node: the sum of their gradients in memory, or the result as well.
BACKWARD, BOTH_WAYS = "gradient apart", "apart both ways"
FORMS: dict[type[Op], dict[str, Form]] = {}
PREPARE: dict[tuple[type[Op], str], Prepare] = {}


def implements(op: type[Op], form: str = DIRECT) -> Callable[[FormT], FormT]:
    """Register a function as a form of an operation."""

    def register(function: FormT) -> FormT:
        FORMS.setdefault(op, {})[form] = function
        return function

    return register


def prepares(op: type[Op], form: str) -> Callable[[PrepareT], PrepareT]:
    """Register what a form of an operation makes of its weights once, before any step."""

    def register(function: PrepareT) -> PrepareT:
        PREPARE[op, form] = function
        return function

    return register


def implemented(op: Op, form: str) -> bool:
    """Whether an operation has a form of that name."""
    return form in FORMS.get(type(op), {})


def compute(
    op: Any, weights: Mapping[str, jax.Array], *inputs: jax.Array, form: str = DIRECT
) -> jax.Array:
    """The result of one operation, in the form of that name."""
    return FORMS[type(op)][form](op, weights, *inputs)
