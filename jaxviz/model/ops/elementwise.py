"""Activations, batch norm and arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np

from jaxviz.model.ops.intervals import Interval, scaled
from jaxviz.model.ops.registry import (
    ALL_CHANNELS,
    CPU,
    FOLDED,
    KEPT,
    MOVED,
    MOVED_DIRECT,
    SAME_CHANNEL,
    HostWeights,
    OneChannel,
    Rules,
    Surroundings,
    Weights,
    implements,
    no_bounds,
    no_products,
    prefer,
    prefer_beside,
    prepares,
    reference,
    same_bounds,
    take_channel,
)
from jaxviz.spec import (
    Activation,
    Affine,
    BatchNorm,
    Identity,
    Math,
    Merge,
    Op,
    PRelu,
    Scale,
    Shape,
)

#: A batch norm with one factor and one offset per channel, computed once.
FACTORS = "factors"


def relu(
    x: jax.Array,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> jax.Array:
    """Keras' ReLU, which may be bounded, leaky or shifted.

    Args:
        x: Any array.
        negative_slope: Slope up to the threshold.
        max_value: Upper bound of the result; None for none.
        threshold: Where the ReLU opens.

    Example:
        >>> relu(jnp.array([-2.0, 3.0, 9.0]), negative_slope=0.5, max_value=6.0).tolist()
        [-1.0, 3.0, 6.0]
    """
    # Selections, because the gradient of a minimum splits ties and costs a pass over the map.
    positive = x if max_value is None else jnp.where(x >= max_value, max_value, x)
    closed = negative_slope * (x - threshold) if negative_slope else jnp.zeros((), x.dtype)
    return jnp.where(x <= threshold, closed, positive)


def _threshold(x: jax.Array, threshold: float, default_value: float) -> jax.Array:
    return jnp.where(x > threshold, x, default_value)


def _sparsemax(x: jax.Array, axis: float = -1) -> jax.Array:
    """Keras' sparsemax, whose threshold adds the running sums; the paper's takes the last one."""
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


def _activation_bounds(
    op: Activation, weights: Mapping[str, np.ndarray], inputs: Sequence[Interval]
) -> Interval | None:
    low, high = inputs[0]
    if op.function == "linear":
        return low, high
    return (_relu_of(op, low), _relu_of(op, high)) if op.function == "relu" else None


def _relu_of(op: Activation, x: np.ndarray) -> np.ndarray:
    """A ReLU in NumPy and float64."""
    threshold = op.arguments.get("threshold", 0.0)
    closed = op.arguments.get("negative_slope", 0.0) * (x - threshold)
    return np.where(x > threshold, np.minimum(x, op.arguments.get("max_value", np.inf)), closed)


@reference(
    Activation,
    Rules(flops=no_products, bounds=_activation_bounds, one_channel=SAME_CHANNEL),
)
def activation(op: Activation, weights: Weights, x: jax.Array) -> jax.Array:
    """A built-in activation function."""
    return _FUNCTIONS[op.function](x, **op.arguments)


@implements(Activation, KEPT)
def activation_kept(op: Activation, weights: Weights, x: jax.Array) -> jax.Array:
    """A ReLU, bounded or not, whose gradient is computed from its result.

    XLA would compute the gradient from the ReLU's input, and recompute that input or keep it. The
    result is in memory anyway where a convolution reads it.
    """
    return relu_kept(x, op.arguments.get("max_value", np.inf))


@prefer_beside(Activation, KEPT, on=CPU)
def _is_read_from_memory(op: Activation, around: Surroundings) -> bool:
    """Whether the result is in memory and says where the gradient is zero."""
    return (
        around.result_is_read
        and op.function == "relu"
        and not op.arguments.get("negative_slope")
        and not op.arguments.get("threshold")
        and op.arguments.get("max_value", np.inf) > 0
    )


def is_plain_relu(op: Op) -> bool:
    """Whether an operation is a ReLU without bound, slope or threshold."""
    return op == Activation(function="relu")


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def relu_kept(x: jax.Array, most: float = np.inf) -> jax.Array:
    """A ReLU up to `most` whose gradient is computed from its result."""
    kept: jax.Array = jax.lax.optimization_barrier(
        relu(x, max_value=None if np.isinf(most) else most)
    )
    return kept


def _relu_kept_forward(x: jax.Array, most: float) -> tuple[jax.Array, jax.Array]:
    y = relu_kept(x, most)
    return y, y


def _relu_kept_backward(most: float, y: jax.Array, cotangent: jax.Array) -> tuple[jax.Array]:
    is_open = y > 0 if np.isinf(most) else (y > 0) & (y < most)
    return (jnp.where(is_open, cotangent, jnp.zeros((), cotangent.dtype)),)


relu_kept.defvjp(_relu_kept_forward, _relu_kept_backward)


@reference(PRelu, Rules(flops=no_products, bounds=no_bounds, one_channel=ALL_CHANNELS))
def prelu(op: PRelu, weights: Weights, x: jax.Array) -> jax.Array:
    """Leaky ReLU with a learned slope."""
    return jnp.where(x > 0, x, weights["alpha"][None] * x)


def factors(op: BatchNorm, weights: HostWeights) -> tuple[np.ndarray, np.ndarray]:
    """Factor and offset of each channel of a batch norm, in float64."""
    found = {role: np.asarray(array, np.float64) for role, array in weights.items()}
    factor = found.get("gamma", 1.0) / np.sqrt(found["variance"] + op.epsilon)
    return factor, found.get("beta", 0.0) - found["mean"] * factor


def _batch_norm_bounds(
    op: BatchNorm, weights: Mapping[str, np.ndarray], inputs: Sequence[Interval]
) -> Interval | None:
    if op.axis != -1:
        return None
    scale = 1 / np.sqrt(weights["variance"].astype(np.float64) + op.epsilon)
    scale = scale * weights.get("gamma", 1.0)
    return scaled(inputs[0], scale, weights.get("beta", 0.0) - weights["mean"] * scale)


@reference(
    BatchNorm,
    Rules(flops=no_products, bounds=_batch_norm_bounds, one_channel=SAME_CHANNEL, factors=factors),
)
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


@prefer(BatchNorm, FACTORS, on=CPU, rank=10)
def _any_batch_norm(op: BatchNorm, shape: Shape) -> bool:
    """Always."""
    return True


@prepares(BatchNorm, FACTORS)
def prepare(op: BatchNorm, weights: HostWeights) -> dict[str, np.ndarray]:
    """Factor and offset of each channel, in the weights' type."""
    kind = weights["variance"].dtype
    return dict(
        zip(("factor", "offset"), (a.astype(kind) for a in factors(op, weights)), strict=True)
    )


@implements(BatchNorm, FACTORS)
def batch_norm_by_factors(op: BatchNorm, weights: Weights, x: jax.Array) -> jax.Array:
    """Batch norm with the factors from `prepare`.

    XLA would recompute the factors for every value of a map; in a dense block, for every value
    of every later map.
    """
    shape = [1] * x.ndim
    shape[op.axis] = -1
    return x * weights["factor"].reshape(shape) + weights["offset"].reshape(shape)


@implements(BatchNorm, KEPT)
def batch_norm_kept(op: BatchNorm, weights: Weights, x: jax.Array) -> jax.Array:
    """Batch norm whose result stays in memory for its reader.

    XLA would also store the norm's input, and recompute the norm from that input for the pooling
    behind it.
    """
    return _in_memory(batch_norm(op, weights, x).astype(x.dtype))


@jax.custom_vjp
def _in_memory(x: jax.Array) -> jax.Array:
    kept: jax.Array = jax.lax.optimization_barrier(x)
    return kept


# The gradient need not be in memory as well.
_in_memory.defvjp(lambda x: (_in_memory(x), None), lambda _, cotangent: (cotangent,))


@implements(Activation, MOVED)
@implements(Activation, MOVED_DIRECT)
@implements(BatchNorm, FOLDED)
def nothing(op: Op, weights: Weights, x: jax.Array) -> jax.Array:
    """The identity, because a neighbour does the work (`jaxviz.model.fusion`)."""
    return x


def _affine_bounds(
    op: Affine, weights: Mapping[str, np.ndarray], inputs: Sequence[Interval]
) -> Interval | None:
    return scaled(inputs[0], np.asarray(op.scale), np.asarray(op.offset))


def _affine_same_channel(
    op: Affine,
    weights: Weights,
    channel: jax.Array,
    inputs: Sequence[jax.Array],
    implementation: str,
) -> jax.Array:
    scale, offset = (
        take_channel(jnp.asarray(numbers, inputs[0].dtype), channel)
        if len(numbers) > 1
        else numbers[0]
        for numbers in (op.scale, op.offset)
    )
    return inputs[0] * scale + offset


@reference(
    Affine,
    Rules(flops=no_products, bounds=_affine_bounds, one_channel=OneChannel(_affine_same_channel)),
)
def affine(op: Affine, weights: Weights, x: jax.Array) -> jax.Array:
    """Fixed scale and offset."""
    shape = (1,) * (x.ndim - 1) + (-1,)
    scale = jnp.asarray(op.scale, x.dtype).reshape(shape)
    return x * scale + jnp.asarray(op.offset, x.dtype).reshape(shape)


@reference(Scale, Rules(flops=no_products, bounds=no_bounds, one_channel=SAME_CHANNEL))
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


@reference(Math, Rules(flops=no_products, bounds=no_bounds, one_channel=SAME_CHANNEL))
def math(op: Math, weights: Weights, x: jax.Array) -> jax.Array:
    """A function of one number."""
    return _MATH[op.function](x, **op.arguments)


_MERGES: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "add": jnp.add,
    "average": jnp.add,
    "subtract": jnp.subtract,
    "multiply": jnp.multiply,
    "divide": jnp.divide,
    "maximum": jnp.maximum,
    "minimum": jnp.minimum,
}


def _merge_bounds(
    op: Merge, weights: Mapping[str, np.ndarray], inputs: Sequence[Interval]
) -> Interval | None:
    if op.kind not in ("add", "average"):
        return None
    share = 1 / len(inputs) if op.kind == "average" else 1.0
    low, high = (sum((i[end] for i in inputs), np.zeros(())) for end in (0, 1))
    return low * share, high * share


@reference(
    Merge,
    Rules(flops=no_products, bounds=_merge_bounds, one_channel=SAME_CHANNEL, combines=True),
)
def merge(op: Merge, weights: Weights, *inputs: jax.Array) -> jax.Array:
    """Elementwise combination; missing axes are added after an input's batch axis."""
    rank = max(x.ndim for x in inputs)
    aligned = [x.reshape(x.shape[0], *(1,) * (rank - x.ndim), *x.shape[1:]) for x in inputs]
    result = reduce(_MERGES[op.kind], aligned)
    return result / len(inputs) if op.kind == "average" else result


@reference(Identity, Rules(flops=no_products, bounds=same_bounds, one_channel=SAME_CHANNEL))
def identity(op: Identity, weights: Weights, x: jax.Array) -> jax.Array:
    """The input itself."""
    return x
