"""Normalisation layers."""

from __future__ import annotations

import numpy as np

from converters.document import Json, are_ints
from converters.layers.call import LayerCall, Transform
from converters.layers.registry import converter_of, converts
from converters.layers.value import Value
from converters.network import Layer
from jaxviz.spec import Affine, BatchNorm, GroupNorm, LayerNorm, Scale, UnitNorm

#: Keras' backend.epsilon(), which is also Normalization's least standard deviation.
_EPSILON = _LEAST_DEVIATION = 1e-7


@converts("BatchNormalization", "SyncBatchNormalization", "BatchNormalizationV1")
def batch_normalization(call: LayerCall) -> Value:
    """Normalisation by the statistics of the training set."""
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
    """Declare the learned factors and offsets, in Keras' order."""
    weights = {"gamma": call.weight("gamma")} if scale else {}
    if center:
        weights["beta"] = call.weight("beta")
    return weights


@converts("LayerNormalization")
def layer_normalization(call: LayerCall) -> Value:
    """Normalisation by the mean and variance of each image along some axes."""
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
    """Normalisation by the root mean square of each image along some axes."""
    value, axes = _normalized_axes(call)
    op = LayerNorm(
        axes=axes, epsilon=call.option("epsilon", 1e-6), center=False, subtract_mean=False,
        around_mean=False,
    )  # fmt: skip
    return call.emit(op, value, weights={"gamma": call.weight("scale")})


@converts("ops.LayerNorm", "ops.RMSNorm")
def normalization_function(call: LayerCall) -> Value:
    """Layer or RMS normalisation as a function, without learned factors."""
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
    """Scaling to length 1 along some axes."""
    value, axes = _normalized_axes(call)
    return call.emit(UnitNorm(axes=axes), value)


def _normalized_axes(call: LayerCall) -> tuple[Value, tuple[int, ...]]:
    """The input in Keras' layout, and its axes (negative) that the `axis` option names."""
    value = call.input
    option = call.option("axis", -1)
    listed = option if isinstance(option, list) else [option]
    if not listed or not are_ints(listed):
        call.refuse(f"axis={option!r} is not a list of whole numbers")
    if listed != [-1] or value.axes[-1:] != (len(value.axes) - 1,):
        value = call.as_in_keras(value)
    return value, tuple(sorted(value.axis(axis) for axis in listed))


@converts("GroupNormalization")
def group_normalization(call: LayerCall) -> Value:
    """Normalisation of groups of channels over the whole image; moves another axis last."""
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
    """Normalisation by a stated mean and variance, or by those that `adapt` learned."""
    value, axis = call.input, call.option("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if isinstance(axis, list) and not axis:
        axis = None
    if axis is not None and value.axis(axis) != -1:
        call.refuse(f"axis={axis!r} is not the last one")
    invert = bool(call.option("invert", False))
    mean, variance = call.option("mean", None), call.option("variance", None)
    if mean is not None or variance is not None:
        return call.emit(_fixed(mean, variance, invert), value)
    if invert:
        call.refuse("has invert=True with a mean and variance that `adapt` learned")
    channels = value.shape[-1] or 1
    weights = {
        "mean": call.weight("mean", trainable=False, transform=_each(channels)),
        "variance": call.weight("variance", trainable=False, transform=_variance(channels)),
    }
    call.weight("count", trainable=False)
    return call.emit(BatchNorm(epsilon=0, scale=False, center=False), value, weights=weights)


def _each(channels: int) -> Transform:
    """Broadcast one number, or one per channel, to all channels."""
    return lambda array: np.broadcast_to(array.reshape(-1), (channels,))


def _variance(channels: int) -> Transform:
    """Broadcast the variance, with the lower bound that Keras applies."""
    return lambda array: np.maximum(_each(channels)(array), _LEAST_DEVIATION**2)


def _fixed(mean: Json, variance: Json, invert: bool) -> Affine:
    """The operation for a stated mean and variance."""
    center, spread = _vector(mean), _vector(variance)
    deviation = np.maximum(np.sqrt(spread), _LEAST_DEVIATION)
    scale, offset = (deviation, center) if invert else (1 / deviation, -center / deviation)
    return Affine(scale=tuple(scale.tolist()), offset=tuple(offset.tolist()))


def _vector(numbers: Json) -> np.ndarray:
    return np.array(numbers, float).reshape(-1)


@converts("LayerScale")
def layer_scale(call: LayerCall) -> Value:
    """A learned factor for each channel, in the ConvNeXt of keras.applications."""
    call.ignore("init_values")
    value = call.as_in_keras(call.input)
    op = Scale(shape=(call.option("projection_dim"),))
    return call.emit(op, value, weights={"scale": call.weight("gamma")})


@converts("SpectralNormalization")
def spectral_normalization(call: LayerCall) -> Value:
    """The wrapped layer, with its kernel as training last normalised it."""
    call.ignore("power_iterations")
    document = call.option("layer")
    if not isinstance(document, dict) or not isinstance(document.get("config"), dict):
        call.refuse(f"wraps a layer without a configuration: {str(document)[:60]!r}")
    layer = Layer(str(document.get("class_name")), call.layer.name, document["config"], ())
    converter = converter_of(layer)
    if converter is None:
        call.refuse(f"wraps a {layer.class_name}, which is not a layer that jaxviz knows")
    inner = call.inner(layer, "layer")
    result = converter(inner)
    if leftovers := inner.leftovers():
        call.refuse(
            f"wraps a {layer.class_name} with options that jaxviz does not know: {leftovers}"
        )
    # Keras stores the normalised kernel as array 0 of this layer too.
    call.weight("vector_u", trainable=False, number=1)
    assert isinstance(result, Value)
    return result
