"""Normalisation by the statistics of the image itself, and other reductions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from jaxviz.errors import SpecError
from jaxviz.spec.op import Op, Shape, known

#: Negative axes, so that they mean the same with and without a batch axis.
Axes = Annotated[tuple[Annotated[int, Field(le=-1)], ...], Field(min_length=1)]


class LayerNorm(Op):
    """Normalisation over some axes of each image. Weights: `gamma`, `beta` over these axes.

    Layer normalisation subtracts the mean and divides by the standard deviation; RMS
    normalisation divides by the root mean square alone.
    """

    op: Literal["layer_norm"] = "layer_norm"
    axes: Axes = (-1,)
    epsilon: float = Field(ge=0)
    scale: bool = True
    center: bool = True
    #: Whether the mean is subtracted.
    subtract_mean: bool = True
    #: Whether the squares that are averaged are those of the distance from the mean.
    around_mean: bool = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """Unchanged."""
        _check_axes(self.axes, inputs[0])
        return inputs[0]

    def weight_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        """One factor and one offset for each position of the axes."""
        shape = tuple(known(inputs[0][axis], "a normalised axis") for axis in sorted(self.axes))
        roles = [*(["gamma"] if self.scale else []), *(["beta"] if self.center else [])]
        return dict.fromkeys(roles, shape)

    def input_extent(self, extent: int, axis: int) -> int | None:
        """Only the channel axis alone keeps positions apart."""
        return extent if self.axes == (-1,) else None


class GroupNorm(Op):
    """Normalisation of groups of channels over the whole image.

    Weights: `gamma`, `beta` [channels].
    """

    op: Literal["group_norm"] = "group_norm"
    groups: PositiveInt
    epsilon: float = Field(ge=0)
    scale: bool = True
    center: bool = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """Unchanged."""
        if known(inputs[0][-1], "the channel axis") % self.groups:
            raise SpecError(f"{inputs[0][-1]} channels do not divide into {self.groups} groups")
        return inputs[0]

    def weight_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        """One factor and one offset a channel."""
        roles = [*(["gamma"] if self.scale else []), *(["beta"] if self.center else [])]
        return dict.fromkeys(roles, (inputs[0][-1],))

    def input_extent(self, extent: int, axis: int) -> int | None:
        """The statistics are of the whole image."""
        return None


class UnitNorm(Op):
    """Division by the L2 norm over some axes."""

    op: Literal["unit_norm"] = "unit_norm"
    axes: Axes = (-1,)
    epsilon: float = Field(default=1e-12, gt=0)

    def output_shape(self, *inputs: Shape) -> Shape:
        """Unchanged."""
        _check_axes(self.axes, inputs[0])
        return inputs[0]

    def input_extent(self, extent: int, axis: int) -> int | None:
        """Only the channel axis alone keeps positions apart."""
        return extent if self.axes == (-1,) else None


class Reduce(Op):
    """One number in place of everything along some axes."""

    op: Literal["reduce"] = "reduce"
    kind: Literal["sum", "mean", "max", "min", "product", "variance", "deviation"]
    axes: Axes
    keepdims: bool = False

    @property
    def channelwise(self) -> bool:  # type: ignore[override]
        """Unless channels are among what is reduced."""
        return -1 not in self.axes

    def output_shape(self, *inputs: Shape) -> Shape:
        """Without the axes, or with 1 in their place."""
        (shape,) = inputs
        _check_axes(self.axes, shape)
        reduced = {axis % len(shape) for axis in self.axes}
        if self.keepdims:
            return tuple(1 if i in reduced else n for i, n in enumerate(shape))
        return tuple(n for i, n in enumerate(shape) if i not in reduced)

    def input_extent(self, extent: int, axis: int) -> int | None:
        """Everything along a reduced axis is read; without keepdims axes move."""
        return extent if self.keepdims and self.axes == (-1,) else None


def _check_axes(axes: tuple[int, ...], shape: Shape) -> None:
    if len(set(axes)) < len(axes) or min(axes) < -len(shape):
        raise SpecError(f"axes {axes} do not exist in shape {shape}")
