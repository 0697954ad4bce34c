"""What every operation of a model has to say about itself, without computing anything."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from jaxviz.errors import SpecError

#: A tensor's shape without its batch axis, channels last; None where any size goes.
Shape = tuple[int | None, ...]
#: Explicit (before, after) padding per spatial axis, or Keras' two named rules.
Padding = Literal["valid", "same"] | tuple[tuple[int, int], ...]


class Op(BaseModel):
    """Base of the closed set of operations.

    An operation knows its arguments, the shapes of the weights it needs, and how it
    maps shapes and receptive fields. How it is computed is in `jaxviz.model.ops`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    #: Output channel k depends on channel k of the inputs alone (and has as many channels).
    channelwise: ClassVar[bool] = False

    def output_shape(self, *inputs: Shape) -> Shape:
        """Shape of the result for inputs of these shapes; SpecError if they do not fit."""
        return inputs[0]

    def weight_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        """Shape of each weight by role (`kernel`, `bias`, …); empty for most operations."""
        return {}

    def input_extent(self, extent: int, axis: int) -> int | None:
        """How many neighbouring input positions `extent` neighbouring outputs read.

        None stands for all of them, however large the image is.
        """
        return extent

    @model_validator(mode="after")
    def _one_number_an_axis(self) -> Op:
        window = getattr(self, "window", None)
        for name in ("strides", "dilation", "crop", "padding"):
            value = getattr(self, name, None)
            if window is not None and isinstance(value, tuple) and len(value) != len(window):
                raise ValueError(f"{name} {value} is not one entry for each of {window}")
        return self


def known(size: int | None, what: str) -> int:
    """The size, where an operation cannot do without knowing it."""
    if size is None:
        raise SpecError(f"the size of {what} must be known")
    return size


def need_rank(shape: Shape, spatial: int, op: str) -> None:
    """Raise unless a shape has `spatial` axes and a channel axis."""
    if len(shape) != spatial + 1:
        raise SpecError(f"{op} needs {spatial} spatial axes and channels, found shape {shape}")


class ShapeTooSmallError(SpecError):
    """A window does not fit into the map it slides over."""


def window_size(
    size: int | None,
    window: int,
    stride: int,
    dilation: int,
    padding: Literal["valid", "same"] | tuple[int, int],
) -> int | None:
    """Number of positions of a sliding window along one axis.

    Example:
        >>> window_size(7, 3, 2, 1, "valid"), window_size(7, 3, 2, 1, "same")
        (3, 4)
    """
    if size is None:
        return None
    if padding == "same":
        return -(-size // stride)
    extra = 0 if padding == "valid" else sum(padding)  # type: ignore[arg-type]
    reach = (window - 1) * dilation + 1
    if size + extra < reach:
        raise ShapeTooSmallError(f"a window of {reach} does not fit into {size + extra} positions")
    return (size + extra - reach) // stride + 1


def axis_padding(padding: Padding, axis: int) -> Literal["valid", "same"] | tuple[int, int]:
    """The padding rule of one spatial axis."""
    return padding if isinstance(padding, str) else padding[axis]
