"""Activation functions: as a layer of their own, or fused into another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converters.layers.call import LayerCall, Value, in_order
from converters.layers.registry import converts
from jaxviz.spec import ACTIVATIONS, Activation, Op, PRelu

#: Other names that files have for the same function.
_ALIASES = {
    "swish": "silu", "hard_swish": "hard_silu", "leakyrelu": "leaky_relu",
    "exp": "exponential", "relu6": "relu", "logsigmoid": "log_sigmoid",
}  # fmt: skip
_KERAS2_LEAKY_SLOPE = 0.2
#: Activation layers that may stand where a function's name is expected, with their options:
#: (the function, {its argument: (the option, other names of it, default)}).
_LAYERS: dict[str, tuple[str, dict[str, tuple[str, str, float]]]] = {
    "LeakyReLU": ("leaky_relu", {"negative_slope": ("negative_slope", "alpha", 0.3)}),
    "ELU": ("elu", {"alpha": ("alpha", "alpha", 1.0)}),
    "ThresholdedReLU": ("threshold", {"threshold": ("theta", "theta", 1.0)}),
}


def activated(
    call: LayerCall, op: Op, *inputs: Value, weights: Mapping[str, str], **more: Any
) -> Value:
    """Emit a layer's operation, and its fused activation after it where it has one."""
    function = fused(call, inputs[0])
    if function is None:
        return call.emit(op, *inputs, weights=weights, **more)
    before = call.emit(op, *inputs, weights=weights, stage="pre_activation", **more)
    return call.emit(function(before), before)


def fused(call: LayerCall, like: Value) -> Any:
    """A function from the pre-activation to the operation, or None for a linear layer."""
    config = call.option("activation", "linear")
    if config in (None, "linear"):
        return None
    return lambda value: operation(call, config, value)


def operation(call: LayerCall, config: Any, value: Value) -> Activation:
    """The operation for an `activation` option: a name, or a serialized function or layer."""
    if isinstance(config, dict):
        name, inner = config.get("class_name"), config.get("config")
        if name in _LAYER_OPERATIONS and isinstance(inner, dict):
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
    return Activation(function=function, arguments=arguments)  # type: ignore[arg-type]


@converts("Activation")
def activation(call: LayerCall) -> Value:
    """An activation function as a layer."""
    return call.emit(operation(call, call.option("activation"), call.input), call.input)


@converts("ReLU", "LeakyReLU", "ELU", "ThresholdedReLU", "Softmax")
def activation_layer(call: LayerCall) -> Value:
    """A layer class that is one function with arguments."""
    call.ignore("max_value", "negative_slope", "alpha", "threshold", "theta", "axis")
    build = _LAYER_OPERATIONS[call.layer.class_name]
    return call.emit(build(call, call.layer.config, call.input), call.input)


def _with_arguments(call: LayerCall, config: dict[str, Any], value: Value) -> Activation:
    function, arguments = _LAYERS[call.layer.class_name]
    numbers = {
        argument: _number(call, config, option, other, default)
        for argument, (option, other, default) in arguments.items()
    }
    if function == "threshold":
        numbers["default_value"] = 0.0
    return Activation(function=function, arguments=numbers)  # type: ignore[arg-type]


def _relu(call: LayerCall, config: dict[str, Any], value: Value) -> Activation:
    arguments = {
        "negative_slope": _number(call, config, "negative_slope", "negative_slope", 0.0),
        "threshold": _number(call, config, "threshold", "threshold", 0.0),
    }
    if config.get("max_value") is not None:
        arguments["max_value"] = _number(call, config, "max_value", "max_value", 0.0)
    return Activation(function="relu", arguments={k: v for k, v in arguments.items() if v})


def _softmax(call: LayerCall, config: dict[str, Any], value: Value) -> Activation:
    axis = config.get("axis", -1)
    if isinstance(axis, list) and len(axis) == 1:
        axis = axis[0]
    if type(axis) is not int:
        call.refuse(f"axis={axis!r} is not one axis")
    return Activation(function="softmax", arguments={"axis": float(value.axis(axis))})


def _number(
    call: LayerCall, config: dict[str, Any], option: str, other: str, default: float
) -> float:
    value = config.get(option, config.get(other, default))
    if isinstance(value, dict):  # tf.keras wrote NumPy scalars as {"class_name": …, "value": …}
        value = value.get("value", value.get("config"))
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        call.refuse(f"{option}={value!r} is not a number")
    return float(value)


_LAYER_OPERATIONS = {
    "ReLU": _relu,
    "LeakyReLU": _with_arguments,
    "ELU": _with_arguments,
    "ThresholdedReLU": _with_arguments,
    "Softmax": _softmax,
}


@converts("PReLU")
def prelu(call: LayerCall) -> Value:
    """A learned slope, shared along some axes."""
    value = call.input
    shared = call.option("shared_axes", None) or []
    if not isinstance(shared, list) or not all(type(axis) is int for axis in shared):
        call.refuse(f"shared_axes={shared!r} is not a list of axes")
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
