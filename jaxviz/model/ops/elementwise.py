"""Activations, norms and arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxviz.model.ops.registry import FOLDED, KEPT, MOVED, MOVED_DIRECT, implements, prepares
from jaxviz.spec import Activation, Affine, BatchNorm, Identity, Math, Merge, PRelu, Scale

Weights = Mapping[str, jax.Array]
#: Of a batch norm: one factor and one offset a channel, worked out beforehand.
FACTORS = "factors"


def relu(
    x: jax.Array,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> jax.Array:
    """Keras' ReLU: bounded, leaky or shifted where asked."""
    # Selections, for the gradient of a minimum splits ties and costs a pass over the map.
    positive = x if max_value is None else jnp.where(x >= max_value, max_value, x)
    closed = negative_slope * (x - threshold) if negative_slope else jnp.zeros((), x.dtype)
    return jnp.where(x <= threshold, closed, positive)


def _threshold(x: jax.Array, threshold: float, default_value: float) -> jax.Array:
    return jnp.where(x > threshold, x, default_value)


def _sparsemax(x: jax.Array, axis: float = -1) -> jax.Array:
    """As Keras computes it: its threshold sums the running sums, where the paper takes the last."""
    z = jnp.moveaxis(x, int(axis), -1)
    ordered = jnp.flip(jnp.sort(z, axis=-1), axis=-1)
    sums = jnp.cumsum(ordered, axis=-1)
    support = ordered - (sums - 1) / jnp.arange(1, z.shape[-1] + 1, dtype=x.dtype) > 0
    total = jnp.where(support, sums, 0).sum(axis=-1, keepdims=True)
    tau = (total - 1) / support.sum(axis=-1, keepdims=True)
    return jnp.moveaxis(jnp.maximum(z - tau, 0), -1, int(axis))


_FUNCTIONS: dict[str, Callable[..., jax.Array]] = {
    "linear": lambda x: x,
    "relu": relu,
    "leaky_relu": lambda x, negative_slope=0.2: jax.nn.leaky_relu(x, negative_slope),
    "elu": lambda x, alpha=1.0: jax.nn.elu(x, alpha),
    "celu": lambda x, alpha=1.0: jax.nn.celu(x, alpha),
    "selu": jax.nn.selu,
    "gelu": lambda x, approximate=0.0: jax.nn.gelu(x, approximate=bool(approximate)),
    "silu": jax.nn.silu,
    "mish": jax.nn.mish,
    "sigmoid": jax.nn.sigmoid,
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "hard_sigmoid_keras2": lambda x: jnp.clip(0.2 * x + 0.5, 0, 1),
    "sparse_sigmoid": lambda x: jnp.clip(0.5 * x + 0.5, 0, 1),
    "hard_silu": jax.nn.hard_silu,
    "log_sigmoid": jax.nn.log_sigmoid,
    "tanh": jnp.tanh,
    "hard_tanh": jax.nn.hard_tanh,
    "tanh_shrink": lambda x: x - jnp.tanh(x),
    "hard_shrink": lambda x, threshold=0.5: jnp.where(jnp.abs(x) > threshold, x, 0),
    "soft_shrink": lambda x, threshold=0.5: jnp.sign(x) * jnp.maximum(jnp.abs(x) - threshold, 0),
    "softplus": jax.nn.softplus,
    "softsign": jax.nn.soft_sign,
    "squareplus": lambda x, b=4.0: jax.nn.squareplus(x, b),
    "sparse_plus": jax.nn.sparse_plus,
    "exponential": jnp.exp,
    "threshold": _threshold,
    "softmax": lambda x, axis=-1: jax.nn.softmax(x, axis=int(axis)),
    "log_softmax": lambda x, axis=-1: jax.nn.log_softmax(x, axis=int(axis)),
    "sparsemax": _sparsemax,
    "glu": lambda x, axis=-1: jax.nn.glu(x, axis=int(axis)),
}


@implements(Activation)
def activation(op: Activation, weights: Weights, x: jax.Array) -> jax.Array:
    """A built-in activation function."""
    return _FUNCTIONS[op.function](x, **op.arguments)


@implements(Activation, KEPT)
def activation_kept(op: Activation, weights: Weights, x: jax.Array) -> jax.Array:
    """A ReLU, bounded or not, that knows from its result where it is open.

    XLA would work out again what went into it, a whole depthwise convolution perhaps, for
    the gradient, or keep it in memory; the result is there anyway where a convolution reads it.
    """
    return relu_kept(x, op.arguments.get("max_value", np.inf))


def knows_from_result(op: Any) -> bool:
    """Whether an activation's result says where its gradient is zero."""
    return (
        isinstance(op, Activation)
        and op.function == "relu"
        and not op.arguments.get("negative_slope")
        and not op.arguments.get("threshold")
        and op.arguments.get("max_value", np.inf) > 0
    )


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def relu_kept(x: jax.Array, most: float = np.inf) -> jax.Array:
    """A ReLU up to `most` whose gradient is taken from its result."""
    return jax.lax.optimization_barrier(relu(x, max_value=None if np.isinf(most) else most))


def _relu_kept_forward(x: jax.Array, most: float) -> tuple[jax.Array, jax.Array]:
    y = relu_kept(x, most)
    return y, y


def _relu_kept_backward(most: float, y: jax.Array, cotangent: jax.Array) -> tuple[jax.Array]:
    is_open = y > 0 if np.isinf(most) else (y > 0) & (y < most)
    return (jnp.where(is_open, cotangent, jnp.zeros((), cotangent.dtype)),)


relu_kept.defvjp(_relu_kept_forward, _relu_kept_backward)


@implements(PRelu)
def prelu(op: PRelu, weights: Weights, x: jax.Array) -> jax.Array:
    """Leaky ReLU with a learned slope."""
    return jnp.where(x > 0, x, weights["alpha"][None] * x)


@implements(BatchNorm)
def batch_norm(op: BatchNorm, weights: Weights, x: jax.Array) -> jax.Array:
    """Normalisation by stored statistics, as one multiplication and one addition."""
    shape = [1] * x.ndim
    shape[op.axis] = -1
    scale = jax.lax.rsqrt(weights["variance"] + op.epsilon)
    if op.scale:
        scale = scale * weights["gamma"]
    offset = -weights["mean"] * scale
    if op.center:
        offset = offset + weights["beta"]
    return x * scale.reshape(shape) + offset.reshape(shape)


def factors(op: BatchNorm, weights: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """What a batch norm multiplies each channel by and what it adds then, in float64."""
    found = {role: np.asarray(array, np.float64) for role, array in weights.items()}
    factor = found.get("gamma", 1.0) / np.sqrt(found["variance"] + op.epsilon)
    return factor, found.get("beta", 0.0) - found["mean"] * factor


@prepares(BatchNorm, FACTORS)
def prepare(op: BatchNorm, weights: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Both, as wide as the weights."""
    kind = weights["variance"].dtype
    return dict(
        zip(("factor", "offset"), (a.astype(kind) for a in factors(op, weights)), strict=True)
    )


@implements(BatchNorm, FACTORS)
def batch_norm_by_factors(op: BatchNorm, weights: Weights, x: jax.Array) -> jax.Array:
    """The same with what `prepare` made.

    XLA works the factors out for every value of a map again: in a DenseNet, where what is behind
    a map in its block adds up to the gradient, for every value of every later map.
    """
    shape = [1] * x.ndim
    shape[op.axis] = -1
    return x * weights["factor"].reshape(shape) + weights["offset"].reshape(shape)


@implements(BatchNorm, KEPT)
def batch_norm_kept(op: BatchNorm, weights: Weights, x: jax.Array) -> jax.Array:
    """The same, with a result that whatever comes next reads from memory.

    XLA would write what went into it as well, and work it out again from that for a pooling
    forward, while the pooling's gradient reads the result.
    """
    return _in_memory(batch_norm(op, weights, x).astype(x.dtype))


@jax.custom_vjp
def _in_memory(x: jax.Array) -> jax.Array:
    return jax.lax.optimization_barrier(x)


# the gradient need not be in memory too
_in_memory.defvjp(lambda x: (_in_memory(x), None), lambda _, cotangent: (cotangent,))


@implements(Activation, MOVED)
@implements(Activation, MOVED_DIRECT)
@implements(BatchNorm, FOLDED)
def nothing(op: Any, weights: Weights, x: jax.Array) -> jax.Array:
    """What a neighbour does already (`jaxviz.model.fusion`)."""
    return x


@implements(Affine)
def affine(op: Affine, weights: Weights, x: jax.Array) -> jax.Array:
    """Fixed scale and offset."""
    shape = (1,) * (x.ndim - 1) + (-1,)
    scale = jnp.asarray(op.scale, x.dtype).reshape(shape)
    return x * scale + jnp.asarray(op.offset, x.dtype).reshape(shape)


@implements(Scale)
def scale(op: Scale, weights: Weights, x: jax.Array) -> jax.Array:
    """Learned factors."""
    return x * weights["scale"]


_MATH: dict[str, Callable[..., jax.Array]] = {
    "abs": jnp.abs,
    "square": jnp.square,
    "sqrt": jnp.sqrt,
    "rsqrt": jax.lax.rsqrt,
    "reciprocal": jnp.reciprocal,
    "exp": jnp.exp,
    "expm1": jnp.expm1,
    "log": jnp.log,
    "log1p": jnp.log1p,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tan": jnp.tan,
    "arctan": jnp.arctan,
    "sinh": jnp.sinh,
    "cosh": jnp.cosh,
    "erf": jax.scipy.special.erf,
    "sign": jnp.sign,
    "floor": jnp.floor,
    "ceil": jnp.ceil,
    "round": jnp.round,
    "trunc": jnp.trunc,
    "power": lambda x, exponent: jnp.power(x, exponent),
    "clip": lambda x, minimum=None, maximum=None: jnp.clip(x, minimum, maximum),
}


@implements(Math)
def math(op: Math, weights: Weights, x: jax.Array) -> jax.Array:
    """A function of one number."""
    return _MATH[op.function](x, **op.arguments)


_MERGES: dict[str, Callable[[Any, Any], jax.Array]] = {
    "add": jnp.add,
    "average": jnp.add,
    "subtract": jnp.subtract,
    "multiply": jnp.multiply,
    "divide": jnp.divide,
    "maximum": jnp.maximum,
    "minimum": jnp.minimum,
}


@implements(Merge)
def merge(op: Merge, weights: Weights, *inputs: jax.Array) -> jax.Array:
    """Elementwise combination; axes that an input lacks come after its batch axis."""
    rank = max(x.ndim for x in inputs)
    aligned = [x.reshape(x.shape[0], *(1,) * (rank - x.ndim), *x.shape[1:]) for x in inputs]
    result = reduce(_MERGES[op.kind], aligned)
    return result / len(inputs) if op.kind == "average" else result


@implements(Identity)
def identity(op: Identity, weights: Weights, x: jax.Array) -> jax.Array:
    """Nothing."""
    return x
