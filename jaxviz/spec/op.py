"""The base of all operations, and the arithmetic of shapes that they share."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, model_validator

from jaxviz.errors import SpecError

#: A tensor's shape without its batch axis, channels last; None where any size goes.
Shape = tuple[int | None, ...]
#: Explicit (before, after) padding per spatial axis, or Keras' two named rules.
Padding = Literal["valid", "same"] | tuple[tuple[int, int], ...]


class Reads(NamedTuple):
    """Output position i of one axis reads inputs from i · step - before, `reach` positions long."""

    step: int = 1
    before: int = 0
    reach: int = 1


class Op(BaseModel):
    """Base of the closed set of operations.

    An operation knows its arguments, the shapes of its weights, and how it maps shapes and
    receptive fields. `jaxviz.model.ops` computes it. Every subclass has a field `op` with its name,
    by which a spec's JSON tells operations apart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    #: Name of the operation in a spec's JSON.
    op: str
    #: Whether output channel k depends on channel k of the inputs alone.
    channelwise: ClassVar[bool] = False
    #: Whether a kernel slides over the input: an atlas shows such layers unless told otherwise.
    convolution: ClassVar[bool] = False
    #: Roles of weights that are statistics of the training data, not trained.
    statistics: ClassVar[tuple[str, ...]] = ()

    def output_shape(self, *inputs: Shape) -> Shape:
        """Shape of the result for inputs of these shapes.

        Raises:
            SpecError: If the shapes do not fit the operation.
        """
        return inputs[0]

    def weight_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        """Shape of each weight by role (`kernel`, `bias`, …); empty for most operations."""
        return {}

    def input_extent(self, extent: int, axis: int) -> int | None:
        """How many neighbouring input positions `extent` neighbouring outputs read.

        None means the whole axis, whatever its size.
        """
        return extent

    def reads(self, sizes: tuple[int, ...], axis: int) -> Reads | None:
        """Which input positions one output position reads along a spatial axis.

        Args:
            sizes: Spatial sizes of the input.
            axis: The spatial axis; 0 is the first.

        Returns:
            None if no fixed window is known; the whole axis counts then.
        """
        return Reads() if self.channelwise else None

    @model_validator(mode="after")
    def _one_number_an_axis(self) -> Op:
        window = getattr(self, "window", None)
        for name in ("strides", "dilation", "crop", "padding"):
            value = getattr(self, name, None)
            if window is not None and isinstance(value, tuple) and len(value) != len(window):
                raise ValueError(
                    f"{name} {value} has {len(value)} entries, expected {len(window)}, "
                    f"one for each axis of window {window}"
                )
        return self


def known(size: int | None, what: str) -> int:
    """A size that an operation needs to know.

    Raises:
        SpecError: If the size is open; the message names `what` it is the size of.
    """
    if size is None:
        raise SpecError(f"the size of {what} is open, expected a number")
    return size


def need_rank(shape: Shape, spatial: int, op: str) -> None:
    """Raise SpecError unless a shape has `spatial` axes and a channel axis."""
    if len(shape) != spatial + 1:
        raise SpecError(
            f"{op} has shape {shape} as input, expected {spatial} spatial axes and channels"
        )


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
    extra = 0 if padding == "valid" else sum(padding)
    reach = (window - 1) * dilation + 1
    if size + extra < reach:
        raise ShapeTooSmallError(
            f"a window of {reach} positions does not fit into {size + extra}, padding included"
        )
    return (size + extra - reach) // stride + 1


def axis_padding(padding: Padding, axis: int) -> Literal["valid", "same"] | tuple[int, int]:
    """The padding rule of one spatial axis."""
    return padding if isinstance(padding, str) else padding[axis]


def same_padding(
    sizes: tuple[int, ...],
    window: tuple[int, ...],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[tuple[int, int], ...]:
    """TensorFlow's rule for "same": one output per stride; an odd pixel is added at the end.

    Example:
        >>> same_padding((8,), (3,), (2,), (1,))
        ((0, 1),)
    """
    pairs = []
    for n, k, s, d in zip(sizes, window, strides, dilation, strict=True):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        pairs.append((total // 2, total - total // 2))
    return tuple(pairs)


def padding_amounts(
    padding: Padding,
    sizes: tuple[int, ...],
    window: tuple[int, ...],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[tuple[int, int], ...]:
    """Padding (before, after) of each spatial axis of a map of these sizes."""
    if padding == "valid":
        return ((0, 0),) * len(sizes)
    return same_padding(sizes, window, strides, dilation) if padding == "same" else padding
