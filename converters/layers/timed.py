"""Operations at every step of a sequence, for TimeDistributed.

The steps are the first axis after the batch. An operation gets that axis and leaves it alone:
a convolution over h × w becomes one over steps × h × w, with a window of one step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from converters.layers.call import Transform
from converters.layers.value import Unsupported
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

#: Operations that count axes from the last, or work on each value alone.
_UNCHANGED = (
    Activation, Affine, BatchNorm, Concatenate, Dense, Expand, Identity, LayerNorm, Math, Merge,
    Reduce, Scale, Squeeze, UnitNorm,
)  # fmt: skip
#: The entry of one axis in an option.
_Entry: TypeAlias = int | tuple[int | None, ...]
#: Operations whose options have an entry for each spatial axis, with the entry of the steps.
_BY_AXIS: dict[type[Op], dict[str, _Entry]] = {
    Conv: {"window": 1, "strides": 1, "dilation": 1, "padding": (0, 0)},
    DepthwiseConv: {"window": 1, "strides": 1, "dilation": 1, "padding": (0, 0)},
    ConvTranspose: {"window": 1, "strides": 1, "dilation": 1, "crop": (0, 0)},
    Pool: {"window": 1, "strides": 1, "padding": (0, 0)},
    Pad: {"amounts": (0, 0)},
    Crop: {"amounts": (0, 0)},
    Upsample: {"factors": 1},
    Slice: {"bounds": (None, None, 1)},
}
#: The weight of each operation that has an axis for each axis of the input.
_WIDENED = {Conv: "kernel", DepthwiseConv: "kernel", ConvTranspose: "kernel", PRelu: "alpha"}
#: Most spatial axes of a convolution or a pool in a spec.
_MOST_AXES = 3


def over_time(op: Op, steps: int | None, shapes: Sequence[Shape], result: Shape) -> Op:
    """The operation that computes another operation at every step.

    Args:
        op: The operation at one step.
        steps: Number of steps; None if unknown.
        shapes: Shapes of the inputs at one step.
        result: Shape of the result at one step.

    Raises:
        Unsupported: If the spec has no such operation.

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
        return Reshape(shape=(steps if steps is not None else -1, *result))
    if isinstance(op, GlobalPool):
        spatial = tuple(range(-len(shapes[0]), -1))
        return Reduce(
            kind="max" if op.kind == "max" else "mean", axes=spatial, keepdims=op.keepdims
        )
    if isinstance(op, EinsumDense):
        return EinsumDense(
            equation=_with_steps(op.equation, (0, 2)), kernel=op.kernel, bias=op.bias
        )
    if isinstance(op, Einsum):
        return Einsum(equation=_with_steps(op.equation, (0, 1, 2)))
    raise Unsupported(f"cannot compute {op.op!r} at every step")


def widened(op: Op, role: str) -> Transform | None:
    """The change of a weight whose operation is computed at every step; None for no change.

    Args:
        op: The operation at one step.
        role: Role of the weight in the operation.
    """
    return (lambda array: array[None]) if _WIDENED.get(type(op)) == role else None


def _with_one_more_axis(op: Op, added: Mapping[str, _Entry]) -> Op:
    """The operation with one more entry in its options."""
    options = op.model_dump()
    for name, entry in added.items():
        if not isinstance(options[name], str):
            options[name] = (entry, *options[name])
    if len(options.get("window", ())) > _MOST_AXES:
        raise Unsupported(
            f"slides over {len(options['window'])} axes with the steps; a spec allows {_MOST_AXES}"
        )
    return type(op)(**options)


def _with_steps(equation: str, places: Sequence[int]) -> str:
    """An equation with an axis for the steps after the batch, in the terms at these places."""
    operands, result = equation.split("->")
    terms = [*operands.split(","), result]
    label = next(c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                 if c not in equation)  # fmt: skip
    timed = [t[0] + label + t[1:] if i in places else t for i, t in enumerate(terms)]
    return f"{','.join(timed[:-1])}->{timed[-1]}"
