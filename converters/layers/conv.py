"""Convolutions and dense layers."""

from __future__ import annotations

from typing import TypedDict

from converters.document import Json
from converters.layers.activation import activated
from converters.layers.call import LayerCall
from converters.layers.registry import converts
from converters.layers.value import Value
from jaxviz.spec import Conv, ConvTranspose, Dense, DepthwiseConv, Padding

_PADDINGS = ("valid", "same")


@converts("Conv1D", "Conv2D", "Conv3D")
def convolution(call: LayerCall) -> Value:
    """Convolution with any strides, dilation, groups and padding (causal too)."""
    rank = call.numbered()
    image = call.image(rank)
    bias = _bias(call)
    op = Conv(
        filters=call.option("filters"),
        groups=call.option("groups", 1),
        bias=bias,
        **_window(call, rank),
    )
    weights = {"kernel": call.weight("kernel"), **({"bias": call.weight("bias")} if bias else {})}
    return activated(call, op, image, weights=weights)


@converts("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise(call: LayerCall) -> Value:
    """Convolution of each channel on its own."""
    rank = call.numbered()
    call.ignore("filters", "groups")  # tf.keras copies these from Conv2D; they mean nothing here
    image = call.image(rank)
    bias = _bias(call)
    op = DepthwiseConv(
        multiplier=call.option("depth_multiplier", 1), bias=bias, **_window(call, rank)
    )
    weights = {"kernel": call.weight("kernel")}
    if bias:
        weights["bias"] = call.weight("bias")
    return activated(call, op, image, weights=weights)


@converts("SeparableConv1D", "SeparableConv2D")
def separable(call: LayerCall) -> Value:
    """A depthwise convolution, named `NAME/depthwise`, then a 1×1 convolution."""
    rank = call.numbered()
    call.require("groups", 1)
    image = call.image(rank)
    bias = _bias(call)
    depthwise_op = DepthwiseConv(
        multiplier=call.option("depth_multiplier", 1), bias=False, **_window(call, rank)
    )
    middle = call.emit(
        depthwise_op, image, stage="depthwise",
        weights={"kernel": call.weight("depthwise_kernel")},
    )  # fmt: skip
    pointwise = Conv(
        filters=call.option("filters"), bias=bias, padding="valid",
        window=(1,) * rank, strides=(1,) * rank, dilation=(1,) * rank,
    )  # fmt: skip
    weights = {"kernel": call.weight("pointwise_kernel")}
    if bias:
        weights["bias"] = call.weight("bias")
    return activated(call, pointwise, middle, weights=weights)


@converts("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def transposed(call: LayerCall) -> Value:
    """The gradient of a convolution, cropped to Keras' output size."""
    rank = call.numbered()
    call.require("groups", 1)
    image = call.image(rank)
    bias = _bias(call)
    window = call.sizes("kernel_size", rank)
    strides = call.sizes("strides", rank, 1)
    dilation = call.sizes("dilation_rate", rank, 1)
    padding = call.option("padding", "valid")
    extra = call.option("output_padding", None)
    extras = (extra,) * rank if not isinstance(extra, list) else tuple(extra)
    if len(extras) != rank or not all(e is None or type(e) is int for e in extras):
        call.refuse(f"output_padding={extra!r} is not {rank} whole numbers")
    reaches = tuple((k - 1) * d + 1 for k, d in zip(window, dilation, strict=True))
    crop = tuple(
        _transposed_crop(call, padding, reach, s, e)
        for reach, s, e in zip(reaches, strides, extras, strict=True)
    )
    if (stated := call.option("output_shape", None)) is not None:
        crop = _crop_to(call, image, stated, reaches, strides, padding)
    op = ConvTranspose(
        filters=call.option("filters"), window=window, strides=strides, dilation=dilation,
        crop=crop, bias=bias,
    )  # fmt: skip
    weights = {"kernel": call.weight("kernel"), **({"bias": call.weight("bias")} if bias else {})}
    return activated(call, op, image, weights=weights)


def _transposed_crop(
    call: LayerCall, padding: Json, reach: int, stride: int, extra: int | None
) -> tuple[int, int]:
    """The positions that Keras crops before and after the full result of one axis.

    A negative amount is padding. The full result has (n − 1)·stride + reach positions.
    """
    if padding == "valid":
        return 0, min(0, reach - stride) if extra is None else -extra
    if padding not in _PADDINGS:
        call.refuse(f"has the unknown padding={padding!r}")
    if extra is None:
        before = max(reach - stride, 0) // 2
        return before, reach - stride - before
    surplus = reach - reach % 2 - extra
    before = max(surplus, 0) // 2
    return before, surplus - before


def _crop_to(
    call: LayerCall, image: Value, stated: Json, reaches: tuple[int, ...],
    strides: tuple[int, ...], padding: Json,
) -> tuple[tuple[int, int], ...]:  # fmt: skip
    """The crop of each axis to the output size that a Deconvolution2D of Keras 1 states."""
    axes = call.image_axes(len(reaches))
    if not isinstance(stated, list) or len(stated) != 1 + len(axes) or padding not in _PADDINGS:
        call.refuse(f"output_shape={stated!r} is invalid with padding={padding!r}")
    crops = []
    for place, (n, reach, stride) in enumerate(zip(image.shape, reaches, strides, strict=False)):
        wanted = stated[1 + axes.index(place)]
        if n is None or type(wanted) is not int:
            call.refuse(f"output_shape={stated!r} needs an input of known size")
        surplus = (n - 1) * stride + reach - wanted
        before = max(surplus, 0) // 2 if padding == "same" else 0
        crops.append((before, surplus - before))
    return tuple(crops)


@converts("Dense")
def dense(call: LayerCall) -> Value:
    """A matrix product over Keras' last axis."""
    value = call.as_in_keras(call.input)
    bias = _bias(call)
    op = Dense(units=call.option("units"), bias=bias)
    weights = {"kernel": call.weight("kernel"), **({"bias": call.weight("bias")} if bias else {})}
    return activated(call, op, value, weights=weights)


def _bias(call: LayerCall) -> bool:
    return bool(call.option("use_bias", True))


class _Window(TypedDict):
    """Options that all convolutions share."""

    window: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Padding


def _window(call: LayerCall, rank: int) -> _Window:
    """Window, strides, dilation and padding of a convolution."""
    window = call.sizes("kernel_size", rank)
    strides = call.sizes("strides", rank, 1)
    dilation = call.sizes("dilation_rate", rank, 1)
    named = call.option("padding", "valid")
    padding: Padding
    if named == "causal" and rank == 1:
        padding = (((window[0] - 1) * dilation[0], 0),)
    elif named in _PADDINGS:
        padding = named
    else:
        call.refuse(f"has the unknown padding={named!r}")
    return {"window": window, "strides": strides, "dilation": dilation, "padding": padding}
