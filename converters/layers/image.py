"""Layers that prepare images: resizing, cropping, grey levels."""

from __future__ import annotations

from converters.layers.call import LayerCall
from converters.layers.registry import converts
from converters.layers.value import Value
from jaxviz.spec import Affine, Crop, Identity, Pad, Reduce, Resize


@converts("Resizing")
def resizing(call: LayerCall) -> Value:
    """Resizing to a fixed size; crops or pads first to keep the aspect ratio."""
    image = call.image(2)
    size = (call.option("height"), call.option("width"))
    if call.option("crop_to_aspect_ratio", False):
        image = _to_aspect_ratio(call, image, size, crop=True)
    if call.option("pad_to_aspect_ratio", False):
        call.require("fill_mode", "constant")
        call.require("fill_value", 0.0, 0, None)
        image = _to_aspect_ratio(call, image, size, crop=False)
    call.ignore("fill_mode", "fill_value")
    op = Resize(
        size=size, interpolation=call.option("interpolation", "bilinear"),
        antialias=bool(call.option("antialias", False)),
    )  # fmt: skip
    return call.emit(op, image)


def _to_aspect_ratio(call: LayerCall, image: Value, size: tuple[int, int], crop: bool) -> Value:
    """The image with its longer side cropped, or its shorter side padded."""
    height, width = _known_size(call, image)
    # Keras' own order of operations, because its roundings decide the size.
    wanted = (int(float(width * size[0]) / size[1]), int(float(height * size[1]) / size[0]))
    amounts = []
    for n, m in zip((height, width), wanted, strict=True):
        target = max(min(n, m), 1) if crop else max(n, m)
        before = int(abs(n - target) / 2)
        amounts.append((before, abs(n - target) - before))
    op = Crop(amounts=tuple(amounts)) if crop else Pad(amounts=tuple(amounts))
    return call.emit(op, image, stage="cropped" if crop else "padded")


@converts("CenterCrop")
def center_crop(call: LayerCall) -> Value:
    """The centre of the image; a smaller image is resized instead."""
    image = call.image(2)
    size = (call.option("height"), call.option("width"))
    height, width = _known_size(call, image)
    if height < size[0] or width < size[1]:
        image = _to_aspect_ratio(call, image, size, crop=True)
        return call.emit(Resize(size=size), image)
    starts = (int((height - size[0]) / 2), int((width - size[1]) / 2))
    amounts = tuple(
        (start, n - m - start) for start, n, m in zip(starts, (height, width), size, strict=True)
    )
    return call.emit(Crop(amounts=amounts), image)


@converts("RandomCrop")
def random_crop(call: LayerCall) -> Value:
    """The identity if the image already has the size; other sizes are refused."""
    image = call.image(2)
    size = (call.option("height"), call.option("width"))
    if _known_size(call, image) != size:
        call.refuse(f"crops from {image.shape[:2]} to {size}, which Keras replaces by a resize")
    return call.emit(Identity(), image)


@converts("ops.RGBToGrayscale")
def grayscale(call: LayerCall) -> Value:
    """The luminance of red, green and blue."""
    image = call.image(2)
    if image.shape[-1] == 1:
        return image
    weighted = Affine(scale=(0.2989, 0.587, 0.114), offset=(0.0,))
    parts = call.emit(weighted, image, stage="weighted")
    return call.emit(Reduce(kind="sum", axes=(-1,), keepdims=True), parts)


@converts("ops.PadImages", "ops.CropImages")
def padded_or_cropped(call: LayerCall) -> Value:
    """Zeros around an image, or its edges cropped."""
    image = call.image(2)
    pads = call.layer.class_name == "PadImages"
    ending = "padding" if pads else "cropping"
    call.require("target_height", None)
    call.require("target_width", None)
    top, bottom, left, right = (
        call.option(f"{side}_{ending}", None) or 0 for side in ("top", "bottom", "left", "right")
    )
    op = Pad if pads else Crop
    return call.emit(op(amounts=((top, bottom), (left, right))), image)


def _known_size(call: LayerCall, image: Value) -> tuple[int, int]:
    height, width = image.shape[:2]
    if height is None or width is None:
        call.refuse(f"needs an input of known size, found {image.keras_shape}")
    return height, width
