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


def image_shape(
    spec: ModelSpec, layer: str, preset: Preset, size: int | tuple[int, int] | None
) -> tuple[int, int, int]:
    """(height, width, channels) of the image to optimise for a layer.

    Raises:
        ConfigError: If the layer does not hang on one image.
        ImageSizeError: If the size is too small, or a dense layer allows only one size.
    """
    inputs = spec.inputs_of([layer])
    channels = inputs[0].shape[-1] if len(inputs) == 1 and len(inputs[0].shape) == 3 else None
    if channels is None:
        found = ", ".join(f"{i.name} {i.shape}" for i in inputs) or "no input"
        raise ConfigError(
            f"layer {layer!r} hangs on {found}; an atlas needs one image (height, width, channels)"
        )
    own = inputs[0].shape[:2]
    fixed = fixed_size(spec, [layer], own)
    wanted = (size, size) if isinstance(size, int) else size
    if wanted is None:
        side = preset.size or min(max(own[0] or _LARGEST, _SMALLEST), _LARGEST)
        wanted = fixed or (side, side)
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
        return spec.shapes(shape, targets=targets)
    except ImageSizeError as error:
        least = spec.least_image_size(targets[0])
        hint = f"The least size that works is {least}: --size {least}." if least else ""
        raise ImageSizeError(error.summary, details=error.details, hint=hint) from None


def fixed_size(
    spec: ModelSpec, targets: Sequence[str], own: tuple[int | None, ...]
) -> tuple[int, int] | None:
    """The model's own input size, if a layer depends on weights that fit no other."""
    height, width = own
    if height is None or width is None:
        return None
    channels = spec.inputs_of(targets)[0].shape[-1]
    shapes = spec.shapes((height, width, channels), targets=targets)
    try:
        other = spec.shapes((2 * height, 2 * width, channels), targets=targets)
        for node in spec.upstream(targets):
            before = node.op.weight_shapes(*(shapes[i] for i in node.inputs))
            if before != node.op.weight_shapes(*(other[i] for i in node.inputs)):
                return height, width
    except (ImageSizeError, ValueError):
        return height, width
    return None
