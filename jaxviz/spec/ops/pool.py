"""Pooling operations."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import PositiveInt

from jaxviz.spec.op import (
    Op,
    Padding,
    Reads,
    Shape,
    axis_padding,
    need_rank,
    padding_amounts,
    window_size,
)


class Pool(Op):
    """Maximum or average over a sliding window, without its padding."""

    op: Literal["pool"] = "pool"
    channelwise: ClassVar[bool] = True
    kind: Literal["max", "average"]
    window: tuple[PositiveInt, ...]
    strides: tuple[PositiveInt, ...]
    padding: Padding

    def output_shape(self, *inputs: Shape) -> Shape:
        """Shape after the window has slid over every spatial axis."""
        (shape,) = inputs
        need_rank(shape, len(self.window), self.op)
        spatial = (
            window_size(n, self.window[i], self.strides[i], 1, axis_padding(self.padding, i))
            for i, n in enumerate(shape[:-1])
        )
        return (*spatial, shape[-1])

    def input_extent(self, extent: int, axis: int) -> int | None:
        """Stride and window widen the extent."""
        return (extent - 1) * self.strides[axis] + self.window[axis]

    def reads(self, sizes: tuple[int, ...], axis: int) -> Reads | None:
        """The window."""
        ones = (1,) * len(self.window)
        pads = padding_amounts(self.padding, sizes, self.window, self.strides, ones)
        return Reads(self.strides[axis], pads[axis][0], self.window[axis])


class GlobalPool(Op):
    """Maximum or average over all spatial axes."""

    op: Literal["global_pool"] = "global_pool"
    channelwise: ClassVar[bool] = True
    kind: Literal["max", "average"]
    keepdims: bool = False

    def output_shape(self, *inputs: Shape) -> Shape:
        """The channels, with axes of size 1 before them if `keepdims`."""
        (shape,) = inputs
        return (*(1,) * (len(shape) - 1), shape[-1]) if self.keepdims else (shape[-1],)

    def input_extent(self, extent: int, axis: int) -> int | None:
        """Every output reads the whole axis."""
        return None

    def reads(self, sizes: tuple[int, ...], axis: int) -> Reads | None:
        """Every position."""
        return None
