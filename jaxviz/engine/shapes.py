"""How large the pictures of a layer are, and what sizes its network allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxviz.errors import ConfigError, ImageSizeError
from jaxviz.presets import Preset
from jaxviz.spec import ModelSpec

# Side of a picture that is to be looked at: small networks' patterns repeat within the one,
# large ones' need no more than the other.
_SMALLEST, _LARGEST = 64, 128
# Length of a signal, which costs little.
_LONGEST = 1024


def image_shape(
    spec: ModelSpec, layer: str, preset: Preset, size: int | tuple[int, int] | None
) -> tuple[int, int, int]:
    """(height, width, channels) of the image to optimise for a layer.

    What a one-dimensional network takes, (length, channels), is an image of one row.

    Raises:
        ConfigError: If the layer does not hang on one image.
        ImageSizeError: If the size is too small, or a dense layer allows only one size.
    """
    inputs = spec.inputs_of([layer])
    image = len(inputs) == 1 and len(inputs[0].shape) in (2, 3)
    channels = inputs[0].shape[-1] if image else None
    if channels is None:
        found = ", ".join(f"{i.name} {i.shape}" for i in inputs) or "no input"
        raise ConfigError(
            f"layer {layer!r} depends on {found}; an atlas needs one image (height, width, "
            "channels) or one signal (length, channels)"
        )
    line = is_line(spec, [layer])
    own = (1, inputs[0].shape[0]) if line else inputs[0].shape[:2]
    fixed = fixed_size(spec, [layer], (own[0], own[1]))
    wanted = ((1 if line else size), size) if isinstance(size, int) else size
    if wanted is None:
        side = preset.size or min(max(own[0] or _LARGEST, _SMALLEST), _LARGEST)
        if line:
            wanted = fixed or (1, min(max(own[1] or 2 * side, _SMALLEST), _LONGEST))
        wanted = wanted or fixed or (side, side)
    if fixed is not None and wanted != fixed:
        raise ImageSizeError(
            f"layer {layer!r} lies behind a dense layer and takes images of "
            f"{fixed[0]}×{fixed[1]}, not {wanted[0]}×{wanted[1]}",
            hint="Leave out --size.",
        )
    upstream_shapes(spec, [layer], (*wanted, channels))
    return (*wanted, channels)


def upstream_shapes(
    spec: ModelSpec, targets: Sequence[str], shape: tuple[int, int, int]
) -> dict[str, Any]:
    """Shapes of everything upstream; ImageSizeError with the least size that works."""
    try:
        return spec.shapes(input_shape(spec, targets, shape), targets=targets)
    except ImageSizeError as error:
        least = spec.least_image_size(targets[0])
        hint = f"The least size that works is {least}: --size {least}." if least else ""
        raise ImageSizeError(error.summary, details=error.details, hint=hint) from None


def is_line(spec: ModelSpec, targets: Sequence[str]) -> bool:
    """Whether layers hang on a signal (length, channels), which is handled as one row of pixels."""
    return len(spec.inputs_of(targets)[0].shape) == 2


def input_shape(spec: ModelSpec, targets: Sequence[str], shape: tuple[int, ...]) -> tuple[int, ...]:
    """An image's shape as the network takes it: without its one row where that is a signal."""
    return shape[1:] if is_line(spec, targets) else shape


def fixed_size(
    spec: ModelSpec, targets: Sequence[str], own: tuple[int | None, ...]
) -> tuple[int, int] | None:
    """The model's own input size, if a layer depends on weights that fit no other."""
    height, width = own
    if height is None or width is None:
        return None
    channels = spec.inputs_of(targets)[0].shape[-1] or 0

    def shapes_of(*shape: int) -> dict[str, Any]:
        return spec.shapes(input_shape(spec, targets, shape), targets=targets)

    shapes = shapes_of(height, width, channels)
    try:
        other = shapes_of(2 * height, 2 * width, channels)
        for node in spec.upstream(targets):
            before = node.op.weight_shapes(*(shapes[i] for i in node.inputs))
            if before != node.op.weight_shapes(*(other[i] for i in node.inputs)):
                return height, width
    except (ImageSizeError, ValueError):
        return height, width
    return None
