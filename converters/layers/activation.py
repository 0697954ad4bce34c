"""Activation functions, as layers of their own or fused into another layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from converters.document import Json, are_ints
from converters.layers.call import LayerCall
from converters.layers.registry import converts
from converters.layers.value import Value, in_order
from jaxviz.spec import ACTIVATIONS, Activation, Op, PRelu

#: Other names of functions in files.
_ALIASES = {
    "swish": "silu", "hard_swish": "hard_silu", "leakyrelu": "leaky_relu",
    "exp": "exponential", "relu6": "relu", "logsigmoid": "log_sigmoid",
}  # fmt: skip
_KERAS2_LEAKY_SLOPE = 0.2


@dataclass(frozen=True)
class _WithArgument:
    """A layer class that is a function with one argument.

    Attributes:
        function: The function of the spec.
        argument: Name of the function's argument.
        options: Names of the layer's option in files, the newest first.
        default: Keras' default of the option.
    """

    function: str
    argument: str
    options: tuple[str, ...]
    default: float


#: Layers that may stand where a function's name is expected.
_LAYERS = {
    "LeakyReLU": _WithArgument("leaky_relu", "negative_slope", ("negative_slope", "alpha"), 0.3),
    "ELU": _WithArgument("elu", "alpha", ("alpha",), 1.0),
    "ThresholdedReLU": _WithArgument("threshold", "threshold", ("theta",), 1.0),
}


def activated(
    call: LayerCall,
    op: Op,
    *inputs: Value,
    weights: Mapping[str, str],
    axes: Sequence[int] | None = None,
) -> Value:
    """Emit a layer's operation, then its fused activation if it has one.

    Args:
        call: The layer's call.
        op: The operation before the activation.
        inputs: See `LayerCall.emit`.
        weights: See `LayerCall.emit`.
        axes: See `LayerCall.emit`.

    Returns:
        The layer's output. The pre-activation is named `NAME/pre_activation`.
    """
    config = call.option("activation", "linear")
    if config in (None, "linear"):
        return call.emit(op, *inputs, weights=weights, axes=axes)
    before = call.emit(op, *inputs, weights=weights, stage="pre_activation", axes=axes)
    return call.emit(operation(call, config, before), before)


def operation(call: LayerCall, config: Json, value: Value) -> Activation:
    """The operation of an `activation` option.

    Args:
        call: The layer's call.
        config: A function's name, or a serialized function or layer.
        value: The tensor that the function is applied to.
    """
    if isinstance(config, dict):
        name, inner = config.get("class_name"), config.get("config")
        if isinstance(name, str) and name in _LAYER_OPERATIONS and isinstance(inner, dict):
            return _LAYER_OPERATIONS[name](call, inner, value)
        config = inner if name == "function" and isinstance(inner, str) else name
    if not isinstance(config, str):
        call.refuse(f"activation={config!r} is not a built-in function")
    name = config.rsplit(">", 1)[-1].lower()
    function = _ALIASES.get(name, name)
    if function not in ACTIVATIONS or function == "threshold":
        call.refuse(f"activation={config!r} is not a built-in function")
    if function == "hard_sigmoid" and call.keras2:
        function = "hard_sigmoid_keras2"
    arguments = {}
    if name == "relu6":
        arguments = {"max_value": 6.0}
    if function in ("softmax", "log_softmax", "sparsemax", "glu"):
        arguments = {"axis": float(value.axis(-1))}
    return Activation(function=function, arguments=arguments)


@converts("Activation")
def activation(call: LayerCall) -> Value:
    """An activation function by name."""
    return call.emit(operation(call, call.option("activation"), call.input), call.input)


@converts("ReLU", "LeakyReLU", "ELU", "ThresholdedReLU", "Softmax")
def activation_layer(call: LayerCall) -> Value:
    """An activation function with arguments."""
    call.ignore("max_value", "negative_slope", "alpha", "threshold", "theta", "axis")
    build = _LAYER_OPERATIONS[call.layer.class_name]
    return call.emit(build(call, call.layer.config, call.input), call.input)


def _with_argument(call: LayerCall, config: dict[str, Json], value: Value) -> Activation:
    layer = _LAYERS[call.layer.class_name]
    numbers = {layer.argument: _number(call, config, layer.options, layer.default)}
    if layer.function == "threshold":
        numbers["default_value"] = 0.0
    return Activation(function=layer.function, arguments=numbers)


def _relu(call: LayerCall, config: dict[str, Json], value: Value) -> Activation:
    names = ("negative_slope", "threshold")
    arguments = {name: _number(call, config, (name,), 0.0) for name in names}
    if config.get("max_value") is not None:
        arguments["max_value"] = _number(call, config, ("max_value",), 0.0)
    return Activation(function="relu", arguments={k: v for k, v in arguments.items() if v})


def _softmax(call: LayerCall, config: dict[str, Json], value: Value) -> Activation:
    axis = config.get("axis", -1)
    if isinstance(axis, list) and len(axis) == 1:
        axis = axis[0]
    if type(axis) is not int:
        call.refuse(f"axis={axis!r} is not one axis")
    return Activation(function="softmax", arguments={"axis": float(value.axis(axis))})


def _number(
    call: LayerCall, config: dict[str, Json], options: tuple[str, ...], default: float
) -> float:
    """The first of these options that the layer has, as a number."""
    option = next((name for name in options if name in config), options[0])
    value = config.get(option, default)
    if isinstance(value, dict):  # tf.keras wrote NumPy scalars as {"class_name": …, "value": …}
        value = value.get("value", value.get("config"))
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        call.refuse(f"{option}={value!r} is not a number")
    return float(value)


_LAYER_OPERATIONS: dict[str, Callable[[LayerCall, dict[str, Json], Value], Activation]] = {
    "ReLU": _relu,
    "LeakyReLU": _with_argument,
    "ELU": _with_argument,
    "ThresholdedReLU": _with_argument,
    "Softmax": _softmax,
}


@converts("PReLU")
def prelu(call: LayerCall) -> Value:
    """A learned slope below zero, shared along some axes."""
    value = call.input
    shared = call.option("shared_axes", None) or []
    if not are_ints(shared):
        call.refuse(f"shared_axes={shared!r} is not a list of whole numbers")
    rank = len(value.shape)
    axes = value.axes
    return call.emit(
        PRelu(shared_axes=tuple(sorted(value.axis(axis) + rank for axis in shared))),
        value,
        weights={
            "alpha": call.weight(
                "alpha",
                transform=None
                if axes == in_order(rank)
                else lambda alpha: alpha.transpose([axes.index(j) for j in range(rank)]),
            )
        },
    )
