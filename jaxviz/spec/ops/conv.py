"""Operations with a kernel: convolutions and dense layers."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import PositiveInt

from jaxviz.errors import SpecError
from jaxviz.spec.op import (
    Op,
    Padding,
    Reads,
    Shape,
    axis_padding,
    known,
    need_rank,
    padding_amounts,
    window_size,
)


class Conv(Op):
    """Convolution (cross-correlation) over 1 to 3 spatial axes.

    Weights: `kernel` [*window, channels in / groups, filters], `bias` [filters].
    """

    op: Literal["conv"] = "conv"
    convolution: ClassVar[bool] = True
    filters: PositiveInt
    window: tuple[PositiveInt, ...]
    strides: tuple[PositiveInt, ...]
    dilation: tuple[PositiveInt, ...]
    padding: Padding
    groups: PositiveInt = 1
    bias: bool = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """Shape after the window has slid over every spatial axis."""
        (shape,) = inputs
        need_rank(shape, len(self.window), self.op)
        return (*_slide(self, shape), self.filters)

    def weight_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        """Kernel and bias."""
        channels = known(inputs[0][-1], "the channel axis")
        if channels % self.groups or self.filters % self.groups:
            raise SpecError(
                f"{channels} input channels and {self.filters} filters do not divide into "
                f"{self.groups} groups"
            )
        kernel = (*self.window, channels // self.groups, self.filters)
        return {"kernel": kernel, **({"bias": (self.filters,)} if self.bias else {})}

    def input_extent(self, extent: int, axis: int) -> int | None:
        """Stride and dilated window widen the extent."""
        return _reach(self, extent, axis)

    def reads(self, sizes: tuple[int, ...], axis: int) -> Reads | None:
        """The dilated window."""
        pads = padding_amounts(self.padding, sizes, self.window, self.strides, self.dilation)
        reach = (self.window[axis] - 1) * self.dilation[axis] + 1
        return Reads(self.strides[axis], pads[axis][0], reach)


class DepthwiseConv(Op):
    """Convolution of each channel by itself.

    With multiplier M, output channel c·M + m comes from input channel c. Weights: `kernel`
    [*window, channels, multiplier], `bias` [channels·multiplier].
    """

    op: Literal["depthwise_conv"] = "depthwise_conv"
    convolution: ClassVar[bool] = True
    multiplier: PositiveInt = 1
    window: tuple[PositiveInt, ...]
    strides: tuple[PositiveInt, ...]
    dilation: tuple[PositiveInt, ...]
    padding: Padding
    bias: bool = True

    @property
    def channelwise(self) -> bool:  # type: ignore[override]
        """Only a multiplier of 1 leaves as many channels as there were."""
        return self.multiplier == 1

    def output_shape(self, *inputs: Shape) -> Shape:
        """Shape after the window has slid over every spatial axis."""
        (shape,) = inputs
        need_rank(shape, len(self.window), self.op)
        return (*_slide(self, shape), known(shape[-1], "the channel axis") * self.multiplier)

    def weight_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        """Kernel and bias."""
        channels = known(inputs[0][-1], "the channel axis")
        kernel = (*self.window, channels, self.multiplier)
        return {"kernel": kernel, **({"bias": (channels * self.multiplier,)} if self.bias else {})}

    def input_extent(self, extent: int, axis: int) -> int | None:
        """Stride and dilated window widen the extent."""
        return _reach(self, extent, axis)

    def reads(self, sizes: tuple[int, ...], axis: int) -> Reads | None:
        """The dilated window."""
        pads = padding_amounts(self.padding, sizes, self.window, self.strides, self.dilation)
        reach = (self.window[axis] - 1) * self.dilation[axis] + 1
        return Reads(self.strides[axis], pads[axis][0], reach)


class ConvTranspose(Op):
    """Transposed convolution: the gradient of a convolution with respect to its input.

    Weights: `kernel` [*window, filters, channels in], `bias` [filters]. `crop` positions are cut
    (or, if negative, added) before and after each axis of the full result.
    """

    op: Literal["conv_transpose"] = "conv_transpose"
    convolution: ClassVar[bool] = True
    filters: PositiveInt
    window: tuple[PositiveInt, ...]
    strides: tuple[PositiveInt, ...]
    dilation: tuple[PositiveInt, ...]
    crop: tuple[tuple[int, int], ...]
    bias: bool = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """Each spatial axis grows by its stride."""
        (shape,) = inputs
        need_rank(shape, len(self.window), self.op)
        spatial = []
        for n, k, s, d, (lo, hi) in zip(
            shape[:-1], self.window, self.strides, self.dilation, self.crop, strict=True
        ):
            size = None if n is None else (n - 1) * s + (k - 1) * d + 1 - lo - hi
            if size is not None and size < 1:
                raise SpecError(
                    f"a transposed convolution of {n} positions leaves {size}, expected at least 1"
                )
            spatial.append(size)
        return (*spatial, self.filters)

    def weight_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        """Kernel and bias."""
        kernel = (*self.window, self.filters, known(inputs[0][-1], "the channel axis"))
        return {"kernel": kernel, **({"bias": (self.filters,)} if self.bias else {})}

    def input_extent(self, extent: int, axis: int) -> int | None:
        """The most positions that any phase of the stride reads."""
        reach = (self.window[axis] - 1) * self.dilation[axis]
        return (extent - 1 + reach) // self.strides[axis] + 1


class Dense(Op):
    """Matrix product over the last axis. Weights: `kernel` [in, units], `bias` [units]."""

    op: Literal["dense"] = "dense"
    units: PositiveInt
    bias: bool = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """The last axis becomes `units`."""
        return (*inputs[0][:-1], self.units)

    def weight_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        """Kernel and bias."""
        kernel = (known(inputs[0][-1], "the input of a dense layer"), self.units)
        return {"kernel": kernel, **({"bias": (self.units,)} if self.bias else {})}


def _slide(op: Conv | DepthwiseConv, shape: Shape) -> tuple[int | None, ...]:
    return tuple(
        window_size(n, op.window[i], op.strides[i], op.dilation[i], axis_padding(op.padding, i))
        for i, n in enumerate(shape[:-1])
    )


def _reach(op: Conv | DepthwiseConv, extent: int, axis: int) -> int:
    return (extent - 1) * op.strides[axis] + (op.window[axis] - 1) * op.dilation[axis] + 1
