"""Sums of products over named axes: attention, dot products, dense layers on any axis."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from jaxviz.errors import SpecError
from jaxviz.spec.op import Op, Shape

#: Einstein's notation with the batch axis, without ellipsis: `abc,cd->abd`.
Equation = Annotated[str, Field(pattern=r"^[A-Za-z]{1,12}(,[A-Za-z]{1,12})?->[A-Za-z]{1,12}$")]


class EinsumDense(Op):
    """A product of the input and a kernel, summed over the axes missing in the result.

    Weights: `kernel`, and `bias`, which broadcasts from the last axis.
    """

    op: Literal["einsum_dense"] = "einsum_dense"
    equation: Equation
    kernel: tuple[PositiveInt, ...]
    bias: tuple[PositiveInt, ...] | None = None

    def output_shape(self, *inputs: Shape) -> Shape:
        """The sizes of the axes that the equation names."""
        return einsum_shape(self.equation, (None, *inputs[0]), self.kernel)[1:]

    def weight_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        """Kernel and bias."""
        return {"kernel": self.kernel, **({"bias": self.bias} if self.bias is not None else {})}

    def input_extent(self, extent: int, axis: int) -> int | None:
        """Positions may be mixed."""
        return None


class Einsum(Op):
    """A product of two tensors, summed over the axes missing in the result."""

    op: Literal["einsum"] = "einsum"
    equation: Equation

    def output_shape(self, *inputs: Shape) -> Shape:
        """The sizes of the axes that the equation names."""
        return einsum_shape(self.equation, *((None, *shape) for shape in inputs))[1:]

    def input_extent(self, extent: int, axis: int) -> int | None:
        """Positions may be mixed."""
        return None


def einsum_shape(equation: str, *shapes: Shape) -> Shape:
    """Shape of the result of an equation, batch included.

    Args:
        equation: Einstein's notation, `abc,cd->abd`.
        shapes: Shape of each operand; None for an open size.

    Raises:
        SpecError: If the shapes do not fit the equation.

    Example:
        >>> einsum_shape("abc,cd->abd", (None, 5, 3), (3, 7))
        (None, 5, 7)
    """
    operands, result = equation.split("->")
    terms = operands.split(",")
    sizes: dict[str, int | None] = {}
    if len(terms) != len(shapes) or not re.fullmatch("[A-Za-z]+", result):
        raise SpecError(f"{equation!r} takes {len(terms)} tensors, found {len(shapes)}")
    for term, shape in zip(terms, shapes, strict=True):
        if len(term) != len(shape) or len(set(term)) < len(term):
            raise SpecError(f"term {term!r} of {equation!r} does not fit shape {shape}")
        for label, size in zip(term, shape, strict=True):
            before = sizes.get(label)
            if before is not None and size is not None and before != size:
                raise SpecError(f"axis {label!r} of {equation!r} has sizes {before} and {size}")
            sizes[label] = before if size is None else size
    if any(label not in sizes for label in result) or len(set(result)) < len(result):
        raise SpecError(
            f"the result of {equation!r} repeats an axis, or names one that no term has"
        )
    return tuple(sizes[label] for label in result)
