"""Functions as layers of a graph: `x * 0.2`, `ops.mean(x, …)`, `x[:, 1:]`.

Keras 3 writes them as operations of `keras.ops`, tf.keras as a TFOpLambda. `tensorflow_ops`
converts the latter with the functions of this module.
"""

from __future__ import annotations

import numpy as np

from converters.document import Json, are_ints
from converters.layers.activation import operation
from converters.layers.call import LayerCall
from converters.layers.registry import converts
from converters.layers.value import Argument, Value, in_order
from jaxviz.spec import (
    Activation,
    Affine,
    Einsum,
    Identity,
    Math,
    Merge,
    Reduce,
    UnitNorm,
)

_BINARY = {
    "Add": "add", "Subtract": "subtract", "Multiply": "multiply", "Divide": "divide",
    "TrueDivide": "divide", "Maximum": "maximum", "Minimum": "minimum", "Fmax": "maximum",
    "Fmin": "minimum",
}  # fmt: skip
_MATH = {
    "Abs": "abs", "Absolute": "abs", "Square": "square", "Sqrt": "sqrt", "Rsqrt": "rsqrt",
    "Reciprocal": "reciprocal", "Exp": "exp", "Expm1": "expm1", "Log": "log", "Log1p": "log1p",
    "Sin": "sin", "Cos": "cos", "Tan": "tan", "Arctan": "arctan", "Sinh": "sinh", "Cosh": "cosh",
    "Erf": "erf", "Sign": "sign", "Floor": "floor", "Ceil": "ceil", "Trunc": "trunc",
    "Fabs": "abs",
}  # fmt: skip
_ACTIVATIONS = {
    "Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "Silu": "silu", "Tanh": "tanh",
    "Softplus": "softplus", "Softsign": "softsign", "Selu": "selu", "Mish": "mish",
    "HardSigmoid": "hard_sigmoid", "HardSilu": "hard_silu", "LogSigmoid": "log_sigmoid",
    "HardTanh": "hard_tanh", "TanhShrink": "tanh_shrink", "SparsePlus": "sparse_plus",
    "SparseSigmoid": "sparse_sigmoid",
}  # fmt: skip
_REDUCTIONS = {
    "Mean": "mean", "Sum": "sum", "Max": "max", "Min": "min", "Amax": "max", "Amin": "min",
    "Prod": "product", "Var": "variance", "Std": "deviation", "Average": "mean",
}  # fmt: skip


@converts(*(f"ops.{name}" for name in _BINARY))
def binary(call: LayerCall) -> Value:
    """Arithmetic of two tensors, or of a tensor and a constant."""
    return combine(call, _BINARY[call.layer.class_name], *_operands(call))


def _operands(call: LayerCall) -> tuple[Argument, Argument]:
    return call.argument(0, "x1"), call.argument(1, "x2")


def combine(call: LayerCall, kind: str, first: Argument, second: Argument) -> Value:
    """Emit the arithmetic of two operands, of which at least one is a tensor.

    Args:
        call: The function's call.
        kind: add, subtract, multiply, divide, maximum or minimum.
        first: A tensor or a constant.
        second: A tensor or a constant.
    """
    if isinstance(first, Value) and isinstance(second, Value):
        if len(first.axes) != len(second.axes):
            call.refuse(
                f"combines shapes of different ranks: {first.keras_shape}, {second.keras_shape}"
            )
        values = [first, second]
        if first.axes != second.axes:
            values = [call.as_in_keras(value) for value in values]
        return call.emit(Merge(kind=kind), *values)
    swapped = not isinstance(first, Value)
    value, number = (second, first) if swapped else (first, second)
    if not isinstance(value, Value):
        call.refuse("is called on no tensor")
    value, numbers = _constant(call, value, number)
    if kind in ("maximum", "minimum"):
        if len(numbers) > 1:
            call.refuse(f"takes the {kind} with {len(numbers)} numbers, expected one")
        bound = "minimum" if kind == "maximum" else "maximum"
        return call.emit(Math(function="clip", arguments={bound: float(numbers[0])}), value)
    if kind == "divide" and swapped:
        value = call.emit(Math(function="reciprocal"), value, stage="reciprocal")
        kind = "multiply"
    if kind == "multiply":
        return call.emit(_affine(numbers, 0 * numbers), value)
    if kind == "divide":
        return call.emit(_affine(1 / numbers, 0 * numbers), value)
    if kind == "subtract" and swapped:
        return call.emit(_affine(0 * numbers - 1, numbers), value)
    return call.emit(_affine(0 * numbers + 1, -numbers if kind == "subtract" else numbers), value)


def _affine(scale: np.ndarray, offset: np.ndarray) -> Affine:
    return Affine(scale=tuple(scale.tolist()), offset=tuple(offset.tolist()))


def _constant(call: LayerCall, value: Value, number: Argument) -> tuple[Value, np.ndarray]:
    """A constant as one number, or as one per channel of the tensor in Keras' layout."""
    if isinstance(number, dict):
        config = number.get("config")
        stated = config if isinstance(config, dict) else {}
        number = stated.get("value", number.get("value"))
    try:
        numbers = np.array(number, float)
    except (TypeError, ValueError):
        call.refuse(f"has the constant {str(number)[:60]!r}, expected numbers")
    if numbers.size != max(numbers.shape, default=1) or (numbers.ndim and numbers.shape[-1] == 0):
        call.refuse(
            f"has a constant of shape {numbers.shape}, expected one number or one per channel"
        )
    if numbers.size == 1:
        return value, numbers.reshape(1)
    value = call.as_in_keras(value)
    if numbers.shape[-1] != value.shape[-1]:
        call.refuse(
            f"has a constant of shape {numbers.shape}, which does not fit {value.keras_shape}"
        )
    return value, numbers.reshape(-1)


@converts(*(f"ops.{name}" for name in _MATH))
def function(call: LayerCall) -> Value:
    """A function of each value."""
    return call.emit(Math(function=_MATH[call.layer.class_name]), call.input)


@converts("ops.Log2", "ops.Log10", "ops.Exp2")
def other_base(call: LayerCall) -> Value:
    """Logarithms and powers of base 2 or 10."""
    value = call.input
    if call.layer.class_name == "Exp2":
        natural = call.emit(_affine(np.log([2.0]), np.zeros(1)), value, stage="natural")
        return call.emit(Math(function="exp"), natural)
    base = 2.0 if call.layer.class_name == "Log2" else 10.0
    natural = call.emit(Math(function="log"), value, stage="natural")
    return call.emit(_affine(1 / np.log([base]), np.zeros(1)), natural)


@converts("ops.Round")
def rounded(call: LayerCall) -> Value:
    """Each value rounded to a whole number, halves to even."""
    call.require("decimals", 0)
    return call.emit(Math(function="round"), call.input)


@converts("ops.Negative")
def negative(call: LayerCall) -> Value:
    """Each value negated."""
    return call.emit(Affine(scale=(-1.0,), offset=(0.0,)), call.input)


@converts("ops.Power")
def power(call: LayerCall) -> Value:
    """Each value raised to a constant power."""
    value, exponent = _operands(call)
    if not isinstance(value, Value) or isinstance(exponent, Value):
        call.refuse("raises to a power that is not a constant")
    value, numbers = _constant(call, value, exponent)
    if len(numbers) > 1:
        call.refuse(f"raises to {len(numbers)} powers, expected one")
    if numbers[0] == 2:
        return call.emit(Math(function="square"), value)
    op = Math(function="power", arguments={"exponent": float(numbers[0])})
    return call.emit(op, value)


@converts("ops.Clip")
def clip(call: LayerCall) -> Value:
    """Each value clipped to two bounds."""
    bounds = {
        "minimum": call.argument(1, "x_min", None), "maximum": call.argument(2, "x_max", None),
    }  # fmt: skip
    arguments = {name: bound for name, bound in bounds.items() if bound is not None}
    op = Math(function="clip", arguments=arguments)
    return call.emit(op, call.inputs[0])


@converts(*(f"ops.{name}" for name in _ACTIVATIONS))
def activation(call: LayerCall) -> Value:
    """An activation function without arguments."""
    return call.emit(operation(call, _ACTIVATIONS[call.layer.class_name], call.input), call.input)


#: Activations with one argument: (function, name of the argument, Keras' default).
_WITH_ARGUMENT: dict[str, tuple[str, str, float]] = {
    "LeakyRelu": ("leaky_relu", "negative_slope", 0.2), "Elu": ("elu", "alpha", 1.0),
    "Celu": ("celu", "alpha", 1.0), "Gelu": ("gelu", "approximate", 1.0),
    "HardShrink": ("hard_shrink", "threshold", 0.5), "Squareplus": ("squareplus", "b", 4.0),
    "SoftShrink": ("soft_shrink", "threshold", 0.5),
}  # fmt: skip


@converts(*(f"ops.{name}" for name in _WITH_ARGUMENT))
def activation_with_argument(call: LayerCall) -> Value:
    """An activation function with one argument."""
    function, option, default = _WITH_ARGUMENT[call.layer.class_name]
    arguments = {option: float(call.argument(1, option, default))}
    return call.emit(Activation(function=function, arguments=arguments), call.inputs[0])


@converts("ops.Threshold")
def threshold(call: LayerCall) -> Value:
    """Values above a threshold; another value in place of the rest."""
    names = ("threshold", "default_value")
    arguments = {name: float(call.argument(i, name)) for i, name in enumerate(names, start=1)}
    return call.emit(Activation(function="threshold", arguments=arguments), call.inputs[0])


_ALONG_AXIS = {
    "Softmax": "softmax", "LogSoftmax": "log_softmax", "Sparsemax": "sparsemax", "Glu": "glu",
}  # fmt: skip


@converts(*(f"ops.{name}" for name in _ALONG_AXIS))
def activation_along_axis(call: LayerCall) -> Value:
    """An activation function along one axis: softmax, sparsemax, GLU."""
    value = call.inputs[0]
    function = _ALONG_AXIS[call.layer.class_name]
    axis = float(value.axis(call.argument(1, "axis", -1)))
    return call.emit(Activation(function=function, arguments={"axis": axis}), value)


@converts("ops.Normalize")
def normalize(call: LayerCall) -> Value:
    """Scaling to length 1 along an axis."""
    call.require("order", 2)
    value = call.input
    epsilon = call.option("epsilon", None)
    axis = value.axis(call.option("axis", -1))
    return call.emit(UnitNorm(axes=(axis,), epsilon=1e-7 if epsilon is None else epsilon), value)


@converts(*(f"ops.{name}" for name in _REDUCTIONS))
def reduction(call: LayerCall) -> Value:
    """A mean, sum, extremum or spread along some axes."""
    return reduce(
        call, _REDUCTIONS[call.layer.class_name], call.argument(1, "axis", None),
        call.argument(2, "keepdims", False),
    )  # fmt: skip


@converts("ops.Norm")
def norm(call: LayerCall) -> Value:
    """The Euclidean length along some axes."""
    call.require("ord", None, 2)
    square = call.emit(Math(function="square"), call.input, stage="square")
    axis, keepdims = call.option("axis", None), call.option("keepdims", False)
    if isinstance(axis, list) and len(axis) > 1 and call.option("ord", None) is not None:
        call.refuse(f"takes a matrix norm over axes {axis}")
    total = reduce(call, "sum", axis, keepdims, square, stage="sum")
    return call.emit(Math(function="sqrt"), total)


def reduce(
    call: LayerCall, kind: str, axis: Json, keepdims: object, value: Value | None = None,
    stage: str = "",
) -> Value:  # fmt: skip
    """Emit a reduction over some axes.

    Args:
        call: The function's call.
        kind: Kind of a `Reduce`: mean, sum, max, ….
        axis: Keras' axis, or a list of axes.
        keepdims: Whether reduced axes stay, with size 1.
        value: The tensor; by default the first input.
        stage: See `LayerCall.emit`.
    """
    value = call.inputs[0] if value is None else value
    listed = axis if isinstance(axis, list) else [axis]
    if not listed or not are_ints(listed) or 0 in listed:
        call.refuse(f"axis={axis!r} includes the batch")
    if not keepdims:
        value = call.as_in_keras(value)
    op = Reduce(kind=kind, axes=tuple(value.axis(a) for a in listed), keepdims=bool(keepdims))
    return call.emit(op, value, stage=stage)


@converts("ops.Einsum")
def einsum(call: LayerCall) -> Value:
    """A sum of products over named axes."""
    values = [call.as_in_keras(value) for value in call.inputs]
    op = Einsum(equation=call.option("subscripts").replace(" ", ""))
    return call.emit(op, *values, axes=in_order(len(op.equation.split("->")[1]) - 1))


@converts("ops.Matmul")
def matmul(call: LayerCall) -> Value:
    """A matrix product over the last two axes."""
    first, second = (call.as_in_keras(value) for value in call.inputs)
    if len(first.shape) != len(second.shape) or len(first.shape) < 2:
        call.refuse(
            f"multiplies shapes {first.keras_shape} and {second.keras_shape}, expected equal ranks"
        )
    batch = "ABCDEFGH"[: len(first.shape) - 1]
    return call.emit(Einsum(equation=f"{batch}ij,{batch}jk->{batch}ik"), first, second)


@converts("ops.Identity", "ops.StopGradient")
def identity(call: LayerCall) -> Value:
    """The input unchanged."""
    return call.emit(Identity(), call.input)
