"""Operations computed at every step of a sequence: what TimeDistributed makes of them.

A spec computes each image of a batch by itself, and the steps stand on the first axis after
the batch. So an operation gets one more axis that it leaves alone: a convolution over h × w
becomes one over steps × h × w with a window of one step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from converters.layers.call import Unsupported
from jaxviz.spec import (
    Activation,
    Affine,
    BatchNorm,
    Concatenate,
    Conv,
    ConvTranspose,
    Crop,
    Dense,
    DepthwiseConv,
    Einsum,
    EinsumDense,
    Expand,
    Flatten,
    GlobalPool,
    Identity,
    LayerNorm,
    Math,
    Merge,
    Op,
    Pad,
    Permute,
    Pool,
    PRelu,
    Reduce,
    Reshape,
    Scale,
    Shape,
    Slice,
    Squeeze,
    UnitNorm,
    Upsample,
)

#: These count axes from the last, or work on each number by itself.
_UNCHANGED = (
    Activation, Affine, BatchNorm, Concatenate, Dense, Expand, Identity, LayerNorm, Math, Merge,
    Reduce, Scale, Squeeze, UnitNorm,
)  # fmt: skip
#: Operations whose options have an entry for each spatial axis, and that of the steps.
_BY_AXIS: dict[type[Op], dict[str, Any]] = {
    Conv: {"window": 1, "strides": 1, "dilation": 1, "padding": (0, 0)},
    DepthwiseConv: {"window": 1, "strides": 1, "dilation": 1, "padding": (0, 0)},
    ConvTranspose: {"window": 1, "strides": 1, "dilation": 1, "crop": (0, 0)},
    Pool: {"window": 1, "strides": 1, "padding": (0, 0)},
    Pad: {"amounts": (0, 0)},
    Crop: {"amounts": (0, 0)},
    Upsample: {"factors": 1},
    Slice: {"bounds": (None, None, 1)},
}
#: Weights with an axis for each of the input's, by operation.
_WIDENED = {Conv: "kernel", DepthwiseConv: "kernel", ConvTranspose: "kernel", PRelu: "alpha"}
#: JAX's convolutions and pools go up to three spatial axes here.
_MOST_AXES = 3


def over_time(op: Op, steps: int | None, shapes: Sequence[Shape], result: Shape) -> Op:
    """The same operation at every step.

    Args:
        op: What is done at one step.
        steps: How many there are, where that is known.
        shapes: Of its inputs at one step.
        result: Of what it gives at one step.

    Raises:
        Unsupported: If no operation of the spec does that.

    Example:
        >>> over_time(Crop(amounts=((1, 2),)), 5, [(9, 3)], (6, 3)).amounts
        ((0, 0), (1, 2))
    """
    if isinstance(op, Merge) and len({len(shape) for shape in shapes}) > 1:
        raise Unsupported("combines shapes of different ranks at each step")
    if isinstance(op, _UNCHANGED):
        return op
    if (added := _BY_AXIS.get(type(op))) is not None:
        return _with_one_more_axis(op, added)
    if isinstance(op, Permute):
        return Permute(order=(0, *(axis + 1 for axis in op.order)))
    if isinstance(op, PRelu):
        return PRelu(shared_axes=(0, *(axis + 1 for axis in op.shared_axes)))
    if isinstance(op, Flatten | Reshape):
        return Reshape(shape=(steps if steps is not None else -1, *result))  # type: ignore[arg-type]
    if isinstance(op, GlobalPool):
        kind: Any = "max" if op.kind == "max" else "mean"
        spatial = tuple(range(-len(shapes[0]), -1))
        return Reduce(kind=kind, axes=spatial, keepdims=op.keepdims)
    if isinstance(op, EinsumDense):
        return EinsumDense(
            equation=_with_steps(op.equation, (0, 2)), kernel=op.kernel, bias=op.bias
        )
    if isinstance(op, Einsum):
        return Einsum(equation=_with_steps(op.equation, (0, 1, 2)))
    raise Unsupported(f"cannot compute {op.op!r} at every step")  # type: ignore[attr-defined]


def widened(op: Op, role: str) -> Callable[[np.ndarray], np.ndarray] | None:
    """What is to be done to a weight of an operation that is computed at every step."""
    return (lambda array: array[None]) if _WIDENED.get(type(op)) == role else None


def _with_one_more_axis(op: Op, added: dict[str, Any]) -> Op:
    options = op.model_dump()
    for name, entry in added.items():
        if not isinstance(options[name], str):
            options[name] = (entry, *options[name])
    if len(options.get("window", ())) > _MOST_AXES:
        raise Unsupported(f"slides over {len(options['window'])} axes with that of the steps")
    return type(op)(**options)


def _with_steps(equation: str, places: Sequence[int]) -> str:
    """An equation with a new axis after the batch in some of its operands and its result."""
    operands, result = equation.split("->")
    terms = [*operands.split(","), result]
    label = next(c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                 if c not in equation)  # fmt: skip
    timed = [t[0] + label + t[1:] if i in places else t for i, t in enumerate(terms)]
    return f"{','.join(timed[:-1])}->{timed[-1]}"
