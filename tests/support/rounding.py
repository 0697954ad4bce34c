"""A TPU's float32 rounding, emulated on another machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core

_jit = jax.jit
_PRODUCTS = ("dot_general", "conv_general_dilated")


def as_on_a_tpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose products and convolutions round their operands to bfloat16.

    A TPU does so in float32, unless the precision is "highest".
    """

    def run(*arguments: Any) -> Any:
        traced, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
        found = _run(traced, *jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shape), found)

    return _jit(run)


def _run(traced: core.ClosedJaxpr, *arguments: jax.Array) -> list[jax.Array]:
    known = dict(zip(traced.jaxpr.invars, arguments, strict=True))
    known |= dict(zip(traced.jaxpr.constvars, traced.consts, strict=True))
    for equation in traced.jaxpr.eqns:
        inputs = [v.val if isinstance(v, core.Literal) else known[v] for v in equation.invars]
        inner = equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
        if equation.primitive.name in _PRODUCTS and not _exact(equation.params["precision"]):
            inputs = [x.astype(jnp.bfloat16).astype(x.dtype) for x in map(_opaque, inputs)]
        if isinstance(inner, core.ClosedJaxpr) and equation.primitive.name in ("jit", "pjit"):
            results = _run(inner, *inputs)
        else:
            bound = equation.primitive.get_bind_params(equation.params)
            results = equation.primitive.bind(*inputs, **bound)
            results = results if equation.primitive.multiple_results else [results]
        known |= dict(zip(equation.outvars, results, strict=True))
    return [v.val if isinstance(v, core.Literal) else known[v] for v in traced.jaxpr.outvars]


def _exact(precision: Any) -> bool:
    return precision is not None and lax.Precision.HIGHEST in tuple(precision)


def _opaque(x: jax.Array) -> jax.Array:
    """The value rounded to bfloat16 in a way that the compiler does not drop."""
    return lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)
