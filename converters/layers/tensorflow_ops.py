"""TensorFlow functions in a tf.keras graph: TFOpLambda, SlicingOpLambda, TensorFlowOpLayer.

TensorFlow 2 writes `x * 0.2` or `tf.concat(…)` as such layers. The functions that convert
Keras 3's own operations convert them too.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from converters.document import Json
from converters.layers.activation import operation
from converters.layers.call import LayerCall
from converters.layers.elementwise import aligned
from converters.layers.operations import combine, reduce
from converters.layers.rearranging import indexed, padded, parts, permuted, reshaped, stacked
from converters.layers.registry import converts
from converters.layers.repeating import depth_to_space, space_to_depth
from converters.layers.value import Argument, Value, in_order
from jaxviz.spec import (
    Activation,
    Affine,
    Concatenate,
    Einsum,
    Expand,
    Identity,
    Math,
    Resize,
    Squeeze,
    UnitNorm,
)

_BINARY = {
    "__operators__.add": "add", "math.add": "add", "add": "add", "math.subtract": "subtract",
    "subtract": "subtract", "math.multiply": "multiply", "multiply": "multiply",
    "math.truediv": "divide", "math.divide": "divide", "divide": "divide",
    "math.maximum": "maximum", "maximum": "maximum", "math.minimum": "minimum",
    "minimum": "minimum",
}  # fmt: skip
_ACTIVATIONS = {
    "nn.relu": "relu", "nn.relu6": "relu6", "math.sigmoid": "sigmoid", "nn.sigmoid": "sigmoid",
    "sigmoid": "sigmoid", "math.tanh": "tanh", "nn.tanh": "tanh", "tanh": "tanh",
    "nn.silu": "silu", "nn.swish": "silu", "nn.elu": "elu", "nn.selu": "selu",
    "math.softplus": "softplus", "nn.softplus": "softplus",
}  # fmt: skip
_MATH = {
    "math.square": "square", "square": "square", "math.sqrt": "sqrt", "sqrt": "sqrt",
    "math.rsqrt": "rsqrt", "math.abs": "abs", "abs": "abs", "math.exp": "exp", "exp": "exp",
    "math.log": "log", "math.reciprocal": "reciprocal",
}  # fmt: skip
_REDUCTIONS = {
    "math.reduce_mean": "mean", "reduce_mean": "mean", "math.reduce_sum": "sum",
    "reduce_sum": "sum", "math.reduce_max": "max", "reduce_max": "max", "math.reduce_min": "min",
    "math.reduce_variance": "variance", "math.reduce_std": "deviation",
}  # fmt: skip
#: The graph operations that TensorFlow 2.0 to 2.3 wrote, and the functions that equal them.
_NODE_OPS = {
    "Add": "math.add", "AddV2": "math.add", "Sub": "math.subtract", "Mul": "math.multiply",
    "RealDiv": "math.truediv", "Maximum": "math.maximum", "Minimum": "math.minimum",
    "Relu": "nn.relu", "Relu6": "nn.relu6", "Sigmoid": "math.sigmoid", "Tanh": "math.tanh",
    "Square": "math.square", "Sqrt": "math.sqrt", "Neg": "math.negative",
}  # fmt: skip


@converts("TFOpLambda")
def tensorflow_function(call: LayerCall) -> Value | list[Value]:
    """A TensorFlow function in the graph of a tf.keras model."""
    call.ignore("name")
    name = str(call.option("function"))
    converter = FUNCTIONS.get(name)
    if converter is None:
        call.refuse(f"is the TensorFlow function {name[:60]!r}, which jaxviz does not know")
    return converter(call)


@converts("SlicingOpLambda")
def slicing(call: LayerCall) -> Value:
    """Indexing with slices, numbers and an ellipsis."""
    call.ignore("name")
    call.require("function", "__operators__.getitem")
    spec = call.argument(1, "slice_spec")
    entries = [_slice(entry) for entry in (spec if isinstance(spec, list) else [spec])]
    return indexed(call, entries)


def _slice(entry: Json) -> Json:
    """An entry of an index, as Keras 3 writes it."""
    if entry == "Ellipsis" or (isinstance(entry, dict) and "start" not in entry):
        return {"class_name": "__ellipsis__", "config": {}}
    return {"class_name": "__slice__", "config": entry} if isinstance(entry, dict) else entry


@converts("TensorFlowOpLayer")
def graph_operation(call: LayerCall) -> Value | list[Value]:
    """An operation of TensorFlow's graph, in files of TensorFlow 2.0 to 2.3."""
    node, constants = call.option("node_def"), call.option("constants", {})
    if isinstance(node, str):
        node = json.loads(node)
    found = str(node.get("op") if isinstance(node, dict) else node)
    name = _NODE_OPS.get(found)
    if name is None or not isinstance(constants, dict):
        call.refuse(f"is the TensorFlow operation {found[:60]!r}, which jaxviz does not know")
    arguments: list[Argument] = list(call.inputs)
    for place, constant in sorted(constants.items()):
        arguments.insert(int(place), constant)
    call.args, call.arguments = tuple(arguments), {}
    return FUNCTIONS[name](call)


def _binary(call: LayerCall) -> Value:
    kind = _BINARY.get(str(call.layer.config.get("function")))
    if kind is None:
        kind = _BINARY[_NODE_OPS[_node_op(call)]]
    return combine(call, kind, call.argument(0, "x"), call.argument(1, "y"))


def _node_op(call: LayerCall) -> str:
    node = call.option("node_def")
    return str((json.loads(node) if isinstance(node, str) else node)["op"])


def _function(call: LayerCall) -> str:
    """The function's name, in either way of writing."""
    name = call.layer.config.get("function")
    return str(name) if name is not None else _NODE_OPS[_node_op(call)]


def _activation(call: LayerCall) -> Value:
    value = call.inputs[0]
    return call.emit(operation(call, _ACTIVATIONS[_function(call)], value), value)


def _math(call: LayerCall) -> Value:
    return call.emit(Math(function=_MATH[_function(call)]), call.inputs[0])


def _reduction(call: LayerCall) -> Value:
    axis, keepdims = call.argument(1, "axis", None), call.argument(2, "keepdims", False)
    return reduce(call, _REDUCTIONS[_function(call)], axis, keepdims)


def _negative(call: LayerCall) -> Value:
    return call.emit(Affine(scale=(-1.0,), offset=(0.0,)), call.inputs[0])


def _power(call: LayerCall) -> Value:
    exponent = call.argument(1, "y")
    if isinstance(exponent, bool) or not isinstance(exponent, int | float):
        call.refuse("raises to a power that is not a constant")
    if exponent == 2:
        return call.emit(Math(function="square"), call.inputs[0])
    return call.emit(Math(function="power", arguments={"exponent": exponent}), call.inputs[0])


def _clip(call: LayerCall) -> Value:
    bounds = (call.argument(1, "clip_value_min"), call.argument(2, "clip_value_max"))
    op = Math(function="clip", arguments={"minimum": bounds[0], "maximum": bounds[1]})
    return call.emit(op, call.inputs[0])


def _softmax(call: LayerCall) -> Value:
    value, axis = call.inputs[0], call.argument(1, "axis", -1)
    place = float(value.axis(-1 if axis is None else axis))
    return call.emit(Activation(function="softmax", arguments={"axis": place}), value)


def _concat(call: LayerCall) -> Value:
    values = aligned(call)
    return call.emit(Concatenate(axis=values[0].axis(call.argument(1, "axis"))), *values)


def _transpose(call: LayerCall) -> Value:
    call.ignore("conjugate", "name")
    return permuted(call, call.argument(1, "perm"))


def _expand(call: LayerCall) -> Value:
    value = call.as_in_keras(call.inputs[0])
    rank, axis = len(value.shape) + 2, call.argument(1, "axis")
    if type(axis) is not int or not axis % rank:
        call.refuse(f"axis={axis!r} is not an axis after the batch")
    return call.emit(Expand(axis=axis % rank - rank), value, axes=in_order(rank - 1))


def _squeeze(call: LayerCall) -> Value:
    call.ignore("name")
    value, axis = call.as_in_keras(call.inputs[0]), call.argument(1, "axis", None)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if type(axis) is not int:
        call.refuse(f"axis={axis!r} is not one axis")
    return call.emit(Squeeze(axis=value.axis(axis)), value)


def _pad(call: LayerCall) -> Value:
    call.ignore("name")
    mode, filler = call.argument(2, "mode", "CONSTANT"), call.argument(3, "constant_values", 0)
    if mode != "CONSTANT" or filler not in (0, 0.0):
        call.refuse(f"pads with mode={mode!r}, constant_values={filler!r}; expected zeros")
    return padded(call, call.argument(1, "paddings"))


def _normalize(call: LayerCall) -> Value:
    value, axis = call.inputs[0], call.argument(1, "axis", None)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if type(axis) is not int:
        call.refuse(f"axis={axis!r} is not one axis")
    # TensorFlow adds epsilon to the squared length.
    epsilon = call.argument(2, "epsilon", 1e-12)
    return call.emit(UnitNorm(axes=(value.axis(axis),), epsilon=float(epsilon) ** 0.5), value)


def _resize(call: LayerCall) -> Value:
    call.ignore("name")
    if call.argument(3, "preserve_aspect_ratio", False):
        call.refuse("resizes with preserve_aspect_ratio=True")
    size, method = call.argument(1, "size"), call.argument(2, "method", "bilinear")
    antialias = bool(call.argument(4, "antialias", False))
    op = Resize(size=tuple(size), interpolation=method, antialias=antialias)
    return call.emit(op, call.as_in_keras(call.inputs[0]))


def _matmul(call: LayerCall) -> Value:
    first, second = call.argument(0, "a"), call.argument(1, "b")
    if not isinstance(first, Value) or not isinstance(second, Value):
        call.refuse("multiplies by a constant, expected two tensors")
    first, second = call.as_in_keras(first), call.as_in_keras(second)
    if len(first.shape) != len(second.shape) or len(first.shape) < 2:
        call.refuse(
            f"multiplies shapes {first.keras_shape} and {second.keras_shape}, expected equal ranks"
        )
    batch = "ABCDEFGH"[: len(first.shape) - 1]
    left = "ji" if call.argument(2, "transpose_a", False) else "ij"
    right = "kj" if call.argument(3, "transpose_b", False) else "jk"
    equation = f"{batch}{left},{batch}{right}->{batch}ik"
    return call.emit(Einsum(equation=equation), first, second)


def _cast(call: LayerCall) -> Value:
    kind = str(call.argument(1, "dtype"))
    if "float" not in kind:
        call.refuse(f"casts to {kind}, expected a float type")
    return call.emit(Identity(), call.inputs[0])


def _identity(call: LayerCall) -> Value:
    return call.emit(Identity(), call.inputs[0])


def _depth_and_space(call: LayerCall) -> Value:
    """Blocks of channels laid out as blocks of pixels, or back."""
    value, block = call.as_in_keras(call.inputs[0]), call.argument(1, "block_size")
    if call.argument(2, "data_format", "NHWC") != "NHWC" or len(value.shape) != 3:
        call.refuse("has another layout than NHWC")
    convert = depth_to_space if "depth_to_space" in _function(call) else space_to_depth
    return convert(call, value, block)


#: The converter of each TensorFlow function, by its name in the file.
FUNCTIONS: dict[str, Callable[[LayerCall], Value | list[Value]]] = {
    **dict.fromkeys(_BINARY, _binary),
    **dict.fromkeys(_ACTIVATIONS, _activation),
    **dict.fromkeys(_MATH, _math),
    **dict.fromkeys(_REDUCTIONS, _reduction),
    **dict.fromkeys(("math.negative", "negative"), _negative),
    **dict.fromkeys(("math.pow", "pow"), _power),
    **dict.fromkeys(("concat", "compat.v1.concat"), _concat),
    **dict.fromkeys(("transpose", "compat.v1.transpose"), _transpose),
    **dict.fromkeys(("expand_dims", "compat.v1.expand_dims"), _expand),
    **dict.fromkeys(("squeeze", "compat.v1.squeeze"), _squeeze),
    **dict.fromkeys(("pad", "compat.v1.pad"), _pad),
    **dict.fromkeys(("math.l2_normalize", "linalg.l2_normalize", "nn.l2_normalize"), _normalize),
    **dict.fromkeys(("image.resize", "compat.v1.image.resize"), _resize),
    **dict.fromkeys(("identity", "stop_gradient"), _identity),
    "clip_by_value": _clip,
    "nn.softmax": _softmax,
    "reshape": lambda call: reshaped(call, call.argument(1, "shape")),
    "stack": lambda call: stacked(call, call.argument(1, "axis", 0)),
    "split": lambda call: parts(
        call, call.argument(1, "num_or_size_splits"), call.argument(2, "axis", 0)
    ),
    "linalg.matmul": _matmul,
    "cast": _cast,
    **dict.fromkeys(("nn.depth_to_space", "nn.space_to_depth"), _depth_and_space),
}
