"""Normalisation by the image's own statistics, and reductions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from jaxviz.errors import SpecError
from jaxviz.spec.op import Op, Reads, Shape, known

#: Negative axes, which are valid with and without a batch axis.
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
    #: Whether the averaged squares are of the distance from the mean, or of the values.
    around_mean: bool = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """The input's shape."""
        _check_axes(self.axes, inputs[0])
        return inputs[0]

    def weight_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        """One factor and one offset for each position of the axes."""
        shape = tuple(known(inputs[0][axis], "a normalised axis") for axis in sorted(self.axes))
        roles = [*(["gamma"] if self.scale else []), *(["beta"] if self.center else [])]
        return dict.fromkeys(roles, shape)

    def input_extent(self, extent: int, axis: int) -> int | None:
        """Normalising over channels keeps positions apart; any other axis does not."""
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
        """The input's shape."""
        if known(inputs[0][-1], "the channel axis") % self.groups:
            raise SpecError(
                f"{inputs[0][-1]} channels do not divide into {self.groups} groups of equal size"
            )
        return inputs[0]

    def weight_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        """One factor and one offset for each channel."""
        roles = [*(["gamma"] if self.scale else []), *(["beta"] if self.center else [])]
        return dict.fromkeys(roles, (inputs[0][-1],))

    def input_extent(self, extent: int, axis: int) -> int | None:
        """Every output reads the statistics of the whole image."""
        return None


class UnitNorm(Op):
    """Division by the L2 norm over some axes."""

    op: Literal["unit_norm"] = "unit_norm"
    axes: Axes = (-1,)
    epsilon: float = Field(default=1e-12, gt=0)

    def output_shape(self, *inputs: Shape) -> Shape:
        """The input's shape."""
        _check_axes(self.axes, inputs[0])
        return inputs[0]

    def input_extent(self, extent: int, axis: int) -> int | None:
        """Normalising over channels keeps positions apart; any other axis does not."""
        return extent if self.axes == (-1,) else None


class Reduce(Op):
    """One number in place of all values along some axes."""

    op: Literal["reduce"] = "reduce"
    kind: Literal["sum", "mean", "max", "min", "product", "variance", "deviation"]
    axes: Axes
    keepdims: bool = False

    @property
    def channelwise(self) -> bool:  # type: ignore[override]
        """Channels stay apart unless they are reduced."""
        return -1 not in self.axes

    def output_shape(self, *inputs: Shape) -> Shape:
        """The shape without the axes, or with 1 in their place if `keepdims`."""
        (shape,) = inputs
        _check_axes(self.axes, shape)
        reduced = {axis % len(shape) for axis in self.axes}
        if self.keepdims:
            return tuple(1 if i in reduced else n for i, n in enumerate(shape))
        return tuple(n for i, n in enumerate(shape) if i not in reduced)

    def input_extent(self, extent: int, axis: int) -> int | None:
        """A reduced axis is read whole; without `keepdims` axes move."""
        return extent if self.keepdims and self.axes == (-1,) else None

    def reads(self, sizes: tuple[int, ...], axis: int) -> Reads | None:
        """A reduced axis is read whole."""
        return None


def _check_axes(axes: tuple[int, ...], shape: Shape) -> None:
    if len(set(axes)) < len(axes) or min(axes) < -len(shape):
        raise SpecError(f"axes {axes} are not different axes of shape {shape}")
