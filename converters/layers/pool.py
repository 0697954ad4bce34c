"""Pooling."""

from __future__ import annotations

from converters.layers.call import LayerCall
from converters.layers.registry import converts
from converters.layers.value import Value, in_order
from jaxviz.spec import GlobalPool, Pool


@converts("ops.MaxPool", "ops.AveragePool")
def pooling_function(call: LayerCall) -> Value:
    """Pooling as a function: `ops.max_pool(x, 2)`."""
    return _pooling(call, len(call.input.shape) - 1)


@converts(
    "MaxPooling1D", "MaxPooling2D", "MaxPooling3D",
    "AveragePooling1D", "AveragePooling2D", "AveragePooling3D",
)  # fmt: skip
def pooling(call: LayerCall) -> Value:
    """Maximum or average over windows; by default they do not overlap."""
    return _pooling(call, call.numbered())


def _pooling(call: LayerCall, rank: int) -> Value:
    image = call.image(rank)
    window = call.sizes("pool_size", rank, 2)
    padding = call.option("padding", "valid")
    if padding not in ("valid", "same"):
        call.refuse(f"has the unknown padding={padding!r}")
    if call.option("strides", None) is None:
        strides = window
    else:
        strides = call.sizes("strides", rank)
    return call.emit(
        Pool(kind=_kind(call, "Max"), window=window, strides=strides, padding=padding), image
    )


@converts(
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D",
)  # fmt: skip
def global_pooling(call: LayerCall) -> Value:
    """Maximum or average over all positions."""
    image = call.image(call.numbered())
    keepdims = bool(call.option("keepdims", False))
    op = GlobalPool(kind=_kind(call, "GlobalMax"), keepdims=keepdims)
    return call.emit(op, image, axes=image.axes if keepdims else in_order(1))


@converts(
    "AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D",
    "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D",
)  # fmt: skip
def adaptive_pooling(call: LayerCall) -> Value:
    """Pooling to a fixed output size, if windows of one size give it."""
    rank = call.numbered()
    image = call.image(rank)
    wanted = call.sizes("output_size", rank)
    if any(n is None or n % m for n, m in zip(image.shape, wanted, strict=False)):
        call.refuse(f"pools {image.shape[:-1]} to {wanted}, which needs windows of several sizes")
    window = tuple((n or m) // m for n, m in zip(image.shape, wanted, strict=False))
    kind = _kind(call, "AdaptiveMax")
    return call.emit(Pool(kind=kind, window=window, strides=window, padding="valid"), image)


def _kind(call: LayerCall, maximum: str) -> str:  # a Literal that mypy cannot follow
    return "max" if call.layer.class_name.startswith(maximum) else "average"
