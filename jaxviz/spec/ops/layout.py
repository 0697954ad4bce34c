"""Operations that move values: padding, cropping, resizing, reshaping, joining."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from jaxviz.errors import SpecError
from jaxviz.spec.op import Op, Reads, Shape, ShapeTooSmallError, known, need_rank

Pairs = tuple[tuple[NonNegativeInt, NonNegativeInt], ...]


class Pad(Op):
    """Zeros around the spatial axes."""

    op: Literal["pad"] = "pad"
    channelwise: ClassVar[bool] = True
    amounts: Pairs

    def output_shape(self, *inputs: Shape) -> Shape:
        """Each spatial axis grows by its amounts."""
        (shape,) = inputs
        need_rank(shape, len(self.amounts), self.op)
        spatial = (
            None if n is None else n + sum(p) for n, p in zip(shape, self.amounts, strict=False)
        )
        return (*spatial, shape[-1])

    def reads(self, sizes: tuple[int, ...], axis: int) -> Reads | None:
        """One position, shifted by the padding."""
        return Reads(before=self.amounts[axis][0])


class Crop(Op):
    """Rows and columns cut off the spatial axes."""

    op: Literal["crop"] = "crop"
    channelwise: ClassVar[bool] = True
    amounts: Pairs

    def output_shape(self, *inputs: Shape) -> Shape:
        """Each spatial axis shrinks by its amounts."""
        (shape,) = inputs
        need_rank(shape, len(self.amounts), self.op)
        spatial = tuple(
            None if n is None else n - sum(p) for n, p in zip(shape, self.amounts, strict=False)
        )
        if any(n is not None and n < 1 for n in spatial):
            raise ShapeTooSmallError(f"cropping {self.amounts} leaves nothing of {shape}")
        return (*spatial, shape[-1])

    def reads(self, sizes: tuple[int, ...], axis: int) -> Reads | None:
        """Not derived, so a neuron behind it takes the whole image."""
        return None


class Upsample(Op):
    """Each spatial axis enlarged by a whole factor."""

    op: Literal["upsample"] = "upsample"
    channelwise: ClassVar[bool] = True
    factors: tuple[PositiveInt, ...]
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"] = "nearest"

    def output_shape(self, *inputs: Shape) -> Shape:
        """Each spatial axis grows by its factor."""
        (shape,) = inputs
        need_rank(shape, len(self.factors), self.op)
        spatial = (None if n is None else n * f for n, f in zip(shape, self.factors, strict=False))
        return (*spatial, shape[-1])

    def input_extent(self, extent: int, axis: int) -> int | None:
        """Interpolation reads neighbours on either side."""
        spread = {"nearest": 0, "bilinear": 1, "bicubic": 3, "lanczos3": 5, "lanczos5": 9}
        return (extent - 2) // self.factors[axis] + 2 + spread[self.interpolation]

    def reads(self, sizes: tuple[int, ...], axis: int) -> Reads | None:
        """Not derived, so a neuron behind it takes the whole image."""
        return None


class Resize(Op):
    """A map at another size, pixels taken as areas (half-pixel centres)."""

    op: Literal["resize"] = "resize"
    channelwise: ClassVar[bool] = True
    size: tuple[PositiveInt, PositiveInt]
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"] = "bilinear"
    #: Whether a map that shrinks is smoothed first.
    antialias: bool = False

    def output_shape(self, *inputs: Shape) -> Shape:
        """The new size."""
        (shape,) = inputs
        need_rank(shape, 2, self.op)
        return (*self.size, shape[-1])

    def input_extent(self, extent: int, axis: int) -> int | None:
        """The extent depends on the input's size, so the whole axis counts."""
        return None

    def reads(self, sizes: tuple[int, ...], axis: int) -> Reads | None:
        """Not derived, so a neuron behind it takes the whole image."""
        return None


class Slice(Op):
    """A regular part of a tensor: (start, stop, step) for each axis, as in Python."""

    op: Literal["slice"] = "slice"
    bounds: tuple[tuple[int | None, int | None, int], ...]

    @property
    def channelwise(self) -> bool:  # type: ignore[override]
        """Channels stay apart if the last axis is taken whole."""
        return bool(self.bounds) and self.bounds[-1] == (None, None, 1)

    def output_shape(self, *inputs: Shape) -> Shape:
        """The number of positions left of each axis."""
        (shape,) = inputs
        if len(self.bounds) != len(shape) or any(not step for _, _, step in self.bounds):
            raise SpecError(f"cannot take {self.bounds} of shape {shape}")
        sizes = tuple(
            n if bounds == (None, None, 1)
            else None if n is None
            else len(range(*slice(*bounds).indices(n)))
            for n, bounds in zip(shape, self.bounds, strict=True)
        )  # fmt: skip
        if 0 in sizes:
            raise ShapeTooSmallError(f"{self.bounds} leave nothing of {shape}")
        return sizes

    def input_extent(self, extent: int, axis: int) -> int | None:
        """A step widens the extent."""
        step = abs(self.bounds[axis][2]) if axis < len(self.bounds) else 1
        return (extent - 1) * step + 1

    def reads(self, sizes: tuple[int, ...], axis: int) -> Reads | None:
        """Not derived, so a neuron behind it takes the whole image."""
        return None


class Expand(Op):
    """A new axis of size 1; `axis` is its place in the result, negative."""

    op: Literal["expand"] = "expand"
    axis: Annotated[int, Field(le=-1)]

    def output_shape(self, *inputs: Shape) -> Shape:
        """The shape with one axis more."""
        position = len(inputs[0]) + 1 + self.axis
        if position < 0:
            raise SpecError(f"cannot add axis {self.axis} to shape {inputs[0]}")
        return (*inputs[0][:position], 1, *inputs[0][position:])

    def input_extent(self, extent: int, axis: int) -> int | None:
        """Positions are not kept, so the whole axis counts."""
        return None


class Squeeze(Op):
    """Removes an axis of size 1; `axis` is negative."""

    op: Literal["squeeze"] = "squeeze"
    axis: Annotated[int, Field(le=-1)]

    def output_shape(self, *inputs: Shape) -> Shape:
        """The shape with one axis less."""
        (shape,) = inputs
        if -self.axis > len(shape) or shape[self.axis] != 1:
            raise SpecError(f"cannot remove axis {self.axis} of shape {shape}: expected size 1")
        position = len(shape) + self.axis
        return (*shape[:position], *shape[position + 1 :])

    def input_extent(self, extent: int, axis: int) -> int | None:
        """Positions are not kept, so the whole axis counts."""
        return None


class Concatenate(Op):
    """Tensors joined along one axis (negative; -1 is the channels)."""

    op: Literal["concatenate"] = "concatenate"
    axis: int = -1

    def output_shape(self, *inputs: Shape) -> Shape:
        """Sizes add up along the axis and must agree elsewhere."""
        axis = self.axis % len(inputs[0])
        result = list(inputs[0])
        for shape in inputs[1:]:
            if len(shape) != len(result):
                raise SpecError(
                    f"cannot join shapes {' and '.join(map(str, inputs))}: ranks differ"
                )
            for i, n in enumerate(shape):
                if i == axis:
                    total = result[i]
                    result[i] = None if n is None or total is None else total + n
                elif result[i] is None or n is None:
                    result[i] = result[i] if n is None else n
                elif n != result[i]:
                    joined = " and ".join(map(str, inputs))
                    raise SpecError(f"cannot join shapes {joined} along axis {self.axis}")
        return tuple(result)


class Reshape(Op):
    """The same values in another shape; one size may be -1, which the others determine."""

    op: Literal["reshape"] = "reshape"
    shape: tuple[int, ...]

    def output_shape(self, *inputs: Shape) -> Shape:
        """The new shape; -1 stays open (None) if the input's sizes are."""
        (shape,) = inputs
        if any(n is None for n in shape):
            return tuple(None if n == -1 else n for n in self.shape)
        total = math.prod(n for n in shape if n is not None)
        fixed = math.prod(n for n in self.shape if n != -1)
        if (
            self.shape.count(-1) > 1
            or fixed == 0
            or total % fixed
            or (-1 not in self.shape and total != fixed)
        ):
            raise SpecError(f"cannot reshape {shape} into {self.shape}")
        return tuple(total // fixed if n == -1 else n for n in self.shape)

    def input_extent(self, extent: int, axis: int) -> int | None:
        """Positions are not kept, so the whole axis counts."""
        return None


class Flatten(Op):
    """All axes in one."""

    op: Literal["flatten"] = "flatten"

    def output_shape(self, *inputs: Shape) -> Shape:
        """The product of the sizes."""
        (shape,) = inputs
        if any(n is None for n in shape):
            return (None,)
        return (math.prod(n for n in shape if n is not None),)

    def input_extent(self, extent: int, axis: int) -> int | None:
        """Positions are not kept, so the whole axis counts."""
        return None


class Permute(Op):
    """Axes in another order; `order[i]` is the input axis (0 first) that becomes axis i."""

    op: Literal["permute"] = "permute"
    order: tuple[NonNegativeInt, ...]

    def output_shape(self, *inputs: Shape) -> Shape:
        """The sizes in the new order."""
        (shape,) = inputs
        if sorted(self.order) != list(range(len(shape))):
            raise SpecError(f"axes {self.order} do not permute shape {shape}")
        return tuple(shape[i] for i in self.order)

    def input_extent(self, extent: int, axis: int) -> int | None:
        """Positions are not kept, so the whole axis counts."""
        return None


class RepeatVector(Op):
    """A vector repeated along a new first axis."""

    op: Literal["repeat_vector"] = "repeat_vector"
    times: PositiveInt

    def output_shape(self, *inputs: Shape) -> Shape:
        """The shape with one axis more."""
        need_rank(inputs[0], 0, self.op)
        return (self.times, known(inputs[0][0], "the repeated vector"))
