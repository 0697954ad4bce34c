"""Normalisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from converters.layers.call import LayerCall, Value
from converters.layers.registry import converter_of, converts
from converters.network import Layer
from jaxviz.spec import Affine, BatchNorm, GroupNorm, LayerNorm, Scale, UnitNorm

#: Keras' backend.epsilon(); also the least standard deviation that Normalization divides by.
_EPSILON = _LEAST_DEVIATION = 1e-7


@converts("BatchNormalization", "SyncBatchNormalization", "BatchNormalizationV1")
def batch_normalization(call: LayerCall) -> Value:
    """By the statistics of the training set."""
    call.ignore("renorm_clipping", "renorm_momentum", "virtual_batch_size", "fused", "renorm")
    axis = call.option("axis", -1)
    if isinstance(axis, list) and len(axis) == 1:
        axis = axis[0]
    if type(axis) is not int:
        call.refuse(f"axis={axis!r} is not one axis")
    scale, center = bool(call.option("scale", True)), bool(call.option("center", True))
    weights = _factors(call, scale, center)
    weights["mean"] = call.weight("moving_mean", trainable=False)
    weights["variance"] = call.weight("moving_variance", trainable=False)
    op = BatchNorm(
        epsilon=call.option("epsilon", 1e-3), scale=scale, center=center,
        axis=call.input.axis(axis),
    )  # fmt: skip
    return call.emit(op, call.input, weights=weights)


def _factors(call: LayerCall, scale: bool, center: bool) -> dict[str, str]:
    """The learned factors and offsets, in Keras' order."""
    weights = {"gamma": call.weight("gamma")} if scale else {}
    if center:
        weights["beta"] = call.weight("beta")
    return weights


@converts("LayerNormalization")
def layer_normalization(call: LayerCall) -> Value:
    """By the statistics of each image along some axes."""
    rms = bool(call.option("rms_scaling", False))
    scale = bool(call.option("scale", True)) or rms
    center = bool(call.option("center", True)) and not rms
    value, axes = _normalized_axes(call)
    op = LayerNorm(
        axes=axes, epsilon=call.option("epsilon", 1e-3), scale=scale, center=center,
        subtract_mean=not rms,
    )  # fmt: skip
    return call.emit(op, value, weights=_factors(call, scale, center))


@converts("RMSNormalization")
def rms_normalization(call: LayerCall) -> Value:
    """By the root mean square of each image along some axes."""
    value, axes = _normalized_axes(call)
    op = LayerNorm(
        axes=axes, epsilon=call.option("epsilon", 1e-6), center=False, subtract_mean=False,
        around_mean=False,
    )  # fmt: skip
    return call.emit(op, value, weights={"gamma": call.weight("scale")})


@converts("ops.LayerNorm", "ops.RMSNorm")
def normalization_function(call: LayerCall) -> Value:
    """The same as functions, without learned factors."""
    value, axes = _normalized_axes(call)
    rms = call.layer.class_name == "RMSNorm"
    call.require("rms_scaling", False)
    epsilon = call.option("epsilon", None)
    op = LayerNorm(
        axes=axes, epsilon=_EPSILON if epsilon is None else epsilon, scale=False, center=False,
        subtract_mean=not rms, around_mean=not rms,
    )  # fmt: skip
    return call.emit(op, value)


@converts("UnitNormalization")
def unit_normalization(call: LayerCall) -> Value:
    """To length 1 along some axes."""
    value, axes = _normalized_axes(call)
    return call.emit(UnitNorm(axes=axes), value)


def _normalized_axes(call: LayerCall) -> tuple[Value, tuple[int, ...]]:
    """The tensor as in Keras, and the `axis` option as negative axes of it."""
    value = call.input
    option = call.option("axis", -1)
    listed = option if isinstance(option, list) else [option]
    if not listed or not all(type(axis) is int for axis in listed):
        call.refuse(f"axis={option!r} is not a list of axes")
    if listed != [-1] or value.axes[-1:] != (len(value.axes) - 1,):
        value = call.as_in_keras(value)
    return value, tuple(sorted(value.axis(axis) for axis in listed))


@converts("GroupNormalization")
def group_normalization(call: LayerCall) -> Value:
    """Groups of channels over the whole image; other axes than the last are moved there."""
    value = call.input
    axis, rank = value.axis(call.option("axis", -1)), len(value.shape)
    if axis != -1:
        place = value.axes.index(axis + rank)
        others = iter(range(rank - 1))
        value = call.arranged(
            value, [rank - 1 if i == place else next(others) for i in range(rank)]
        )
    channels = value.shape[-1]
    groups = call.option("groups", 32)
    scale, center = bool(call.option("scale", True)), bool(call.option("center", True))
    op = GroupNorm(
        groups=channels if groups == -1 else groups, scale=scale, center=center,
        epsilon=call.option("epsilon", 1e-3),
    )  # fmt: skip
    return call.emit(op, value, weights=_factors(call, scale, center))


@converts("Normalization")
def normalization(call: LayerCall) -> Value:
    """By the mean and variance of the data, which are options or were learned by `adapt`."""
    value, axis = call.input, call.option("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if isinstance(axis, list) and not axis:
        axis = None
    if axis is not None and value.axis(axis) != -1:
        call.refuse(f"axis={axis!r} is not the last one")
    invert = bool(call.option("invert", False))
    mean, variance = call.option("mean", None), call.option("variance", None)
    if mean is not None or variance is not None:
        return call.emit(_fixed(call, mean, variance, invert), value)
    if invert:
        call.refuse("undoes a normalisation that it learned from data")
    channels = value.shape[-1] or 1
    weights = {
        "mean": call.weight("mean", trainable=False, transform=_each(channels)),
        "variance": call.weight("variance", trainable=False, transform=_variance(channels)),
    }
    call.weight("count", trainable=False)
    return call.emit(BatchNorm(epsilon=0, scale=False, center=False), value, weights=weights)


def _each(channels: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda array: np.broadcast_to(array.reshape(-1), (channels,))


def _variance(channels: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda array: np.maximum(_each(channels)(array), _LEAST_DEVIATION**2)


def _fixed(call: LayerCall, mean: Any, variance: Any, invert: bool) -> Affine:
    center, spread = np.asarray(mean, float).reshape(-1), np.asarray(variance, float).reshape(-1)
    deviation = np.maximum(np.sqrt(spread), _LEAST_DEVIATION)
    scale, offset = (deviation, center) if invert else (1 / deviation, -center / deviation)
    return Affine(scale=tuple(scale.tolist()), offset=tuple(offset.tolist()))


@converts("LayerScale")
def layer_scale(call: LayerCall) -> Value:
    """A learned factor a channel (keras.applications' ConvNeXt)."""
    call.ignore("init_values")
    value = call.as_in_keras(call.input)
    op = Scale(shape=(call.option("projection_dim"),))
    return call.emit(op, value, weights={"scale": call.weight("gamma")})


@converts("SpectralNormalization")
def spectral_normalization(call: LayerCall) -> Value:
    """At inference, the layer inside with its kernel as it was last normalised."""
    call.ignore("power_iterations")
    document = call.option("layer")
    if not isinstance(document, dict) or not isinstance(document.get("config"), dict):
        return call.refuse(f"wraps something unreadable: {str(document)[:60]!r}")
    layer = Layer(str(document.get("class_name")), call.layer.name, document["config"], ())
    converter = converter_of(layer)
    if converter is None:
        return call.refuse(f"wraps a {layer.class_name}, which jaxviz does not know")
    inner = call.inner(layer, "layer")
    result = converter(inner)
    if leftovers := inner.leftovers():
        call.refuse(f"wraps a {layer.class_name} with unknown options {leftovers}")
    # Keras counts the kernel that it normalises as its own as well.
    call.weight("vector_u", trainable=False, number=1)
    assert isinstance(result, Value)
    return result
