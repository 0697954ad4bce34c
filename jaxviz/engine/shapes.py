"""The size of a layer's pictures, and the sizes that its network allows."""

from __future__ import annotations

from collections.abc import Sequence

from jaxviz.errors import ConfigError, ImageSizeError
from jaxviz.presets import Preset
from jaxviz.spec import ModelSpec, Shape

# Range of a picture's side in pixels. Below, a small network's patterns have no room to repeat;
# above, a large network's patterns gain nothing.
_SMALLEST, _LARGEST = 64, 128
# Largest default length of a signal; a row of pixels is cheap.
_LONGEST = 1024


def image_shape(
    spec: ModelSpec, layer: str, preset: Preset, size: int | tuple[int, int] | None
) -> tuple[int, int, int]:
    """Choose and check the shape of the image to optimise for a layer.

    A signal (length, channels) of a one-dimensional network counts as an image of one row.

    Args:
        spec: The architecture.
        layer: Name of a node.
        preset: Its size applies if `size` is None.
        size: Side of the image or (height, width), in pixels.

    Returns:
        (height, width, channels).

    Raises:
        ConfigError: If the layer does not depend on exactly one image or signal.
        ImageSizeError: If the image is too small, or a dense layer allows only one size.
    """
    inputs = spec.inputs_of([layer])
    image = len(inputs) == 1 and len(inputs[0].shape) in (2, 3)
    channels = inputs[0].shape[-1] if image else None
    if channels is None:
        found = ", ".join(f"{i.name} {i.shape}" for i in inputs) or "no input"
        raise ConfigError(
            f"layer {layer!r} depends on {found}; pictures need exactly one input image (height, "
            "width, channels) or signal (length, channels)"
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
            f"layer {layer!r} depends on a dense layer, which fixes the image size: expected "
            f"{fixed[0]}×{fixed[1]}, found {wanted[0]}×{wanted[1]}",
            hint="Leave out --size (in Python: `size`).",
        )
    upstream_shapes(spec, [layer], (*wanted, channels))
    return (*wanted, channels)


def upstream_shapes(
    spec: ModelSpec, targets: Sequence[str], shape: tuple[int, int, int]
) -> dict[str, Shape]:
    """Compute the shapes of all nodes that some nodes depend on.

    Args:
        spec: The architecture.
        targets: Names of nodes.
        shape: (height, width, channels) of the image.

    Raises:
        ImageSizeError: If the image is too small; the hint names the least size that works.
    """
    try:
        return spec.shapes(input_shape(spec, targets, shape), targets=targets)
    except ImageSizeError as error:
        least = spec.least_image_size(targets[0])
        hint = f"The least size that works is {least}: --size {least}." if least else ""
        raise ImageSizeError(error.summary, details=error.details, hint=hint) from None


def is_line(spec: ModelSpec, targets: Sequence[str]) -> bool:
    """Whether layers depend on a signal (length, channels), which is an image of one row."""
    return len(spec.inputs_of(targets)[0].shape) == 2


def input_shape(spec: ModelSpec, targets: Sequence[str], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an image as the network takes it; a signal loses its row axis."""
    return shape[1:] if is_line(spec, targets) else shape


def fixed_size(
    spec: ModelSpec, targets: Sequence[str], own: tuple[int | None, ...]
) -> tuple[int, int] | None:
    """The only image size that some nodes allow.

    Args:
        spec: The architecture.
        targets: Names of nodes.
        own: (height, width) of the model's input; None for a free side.

    Returns:
        (height, width) in pixels; None if the nodes depend on no weights that fix the size.
    """
    height, width = own
    if height is None or width is None:
        return None
    channels = spec.inputs_of(targets)[0].shape[-1] or 0

    def shapes_of(*shape: int) -> dict[str, Shape]:
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
