"""What a step of one unit cannot do without, counted from the architecture alone.

The count is of the arithmetic that the result needs, however it is computed: a implementation with
fewer multiplications (Winograd's), or a program with more, is judged against the same number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from jaxviz.model.channel import plan_channel
from jaxviz.model.ops.conv import pad_amounts
from jaxviz.spec import (
    Conv,
    ConvTranspose,
    Dense,
    DepthwiseConv,
    Einsum,
    EinsumDense,
    ModelSpec,
    Node,
    Pool,
    Shape,
)


class StepCost(NamedTuple):
    """What one image and ascent step needs.

    Attributes:
        flops: Operations of convolutions and products, a multiplication and an addition
            being two, forward and for the gradient with respect to the image. Arithmetic on
            single numbers (activations, norms, pools) is left out: it is little, and fused.
        activations: Numbers that convolutions, products and pools hand on, each once.
        weights: Numbers in the kernels that are read.
    """

    flops: int
    activations: int
    weights: int


def step_cost(
    spec: ModelSpec, layer: str, shape: tuple[int, ...], *, one_channel: bool = True
) -> StepCost:
    """Count what one image and step needs.

    Args:
        spec: The architecture.
        layer: The layer whose unit's picture is made.
        shape: (height, width, channels) of the image, as the network gets it.
        one_channel: Whether only the unit's channel of the layer is computed, and not the
            layer's others.

    Example:
        >>> import jaxviz
        >>> spec = jaxviz.load_bundle(jaxviz.example("galaxy_cnn.keras")).spec
        >>> one = step_cost(spec, "conv1", (64, 64, 3))
        >>> whole = step_cost(spec, "conv1", (64, 64, 3), one_channel=False)
        >>> whole.flops // one.flops == spec.shapes()["conv1"][-1]
        True
    """
    shapes = spec.shapes(shape, targets=[layer])
    alone = {n.name for n in plan_channel(spec, layer, shapes).single} if one_channel else set()
    flops = activations = weights = 0
    for node in spec.upstream([layer]):
        own, made = _forward(node, shapes), _handed_on(node, shapes)
        kernel = node.op.weight_shapes(*(shapes[i] for i in node.inputs)).get("kernel")
        read = _size(kernel) if kernel else 0
        if node.name in alone:
            own, made, read = (n // (shapes[node.name][-1] or 1) for n in (own, made, read))
        # the gradient with respect to the input takes as many as the way forward
        flops, activations, weights = flops + 2 * own, activations + made, weights + read
    return StepCost(flops, activations, weights)


def _forward(node: Node, shapes: Mapping[str, Shape]) -> int:
    """Operations of one node on the way forward; 0 for those without products."""
    op, inside, outside = node.op, shapes[node.inputs[0]], shapes[node.name]
    channels = inside[-1] or 1
    if isinstance(op, Conv):
        return 2 * _pairs(op, inside, outside) * (channels // op.groups) * op.filters
    if isinstance(op, DepthwiseConv):
        return 2 * _pairs(op, inside, outside) * channels * op.multiplier
    if isinstance(op, ConvTranspose):
        return 2 * _pairs(op, inside, outside) * channels * op.filters
    if isinstance(op, Dense):
        return 2 * _size(inside) * op.units
    if isinstance(op, EinsumDense):
        return 2 * _labelled(op.equation, (None, *inside), op.kernel)
    if isinstance(op, Einsum):
        return 2 * _labelled(op.equation, *((None, *shapes[i]) for i in node.inputs))
    return 0


def _handed_on(node: Node, shapes: Mapping[str, Shape]) -> int:
    """Numbers that a node leaves in memory; arithmetic on single numbers is fused into it."""
    kinds = (Conv, DepthwiseConv, ConvTranspose, Dense, Einsum, EinsumDense, Pool)
    return _size(shapes[node.name]) if isinstance(node.op, kinds) else 0


def _pairs(op: Conv | DepthwiseConv | ConvTranspose, inside: Shape, outside: Shape) -> int:
    """Pairs of a position and an element of the window; those on padding are not computed."""
    total = 1
    for axis in range(len(op.window)):
        small, large = inside[axis] or 1, outside[axis] or 1
        if isinstance(op, ConvTranspose):
            low = op.crop[axis][0]
        else:
            small, large = large, small
            low = pad_amounts(op, tuple(n or 1 for n in inside[:-1]))[axis][0]
        offsets = np.arange(op.window[axis]) * op.dilation[axis] - low
        places = np.arange(small)[:, None] * op.strides[axis] + offsets
        total *= int(((places >= 0) & (places < large)).sum())
    return total


def _labelled(equation: str, *shapes: Shape) -> int:
    """The product of the sizes of all axes that an equation names, the batch being one."""
    terms = equation.split("->")[0].split(",")
    sizes = {
        label: size or 1
        for term, shape in zip(terms, shapes, strict=True)
        for label, size in zip(term, shape, strict=True)
    }
    return _size(tuple(sizes.values()))


def _size(shape: Shape) -> int:
    return int(np.prod([n or 1 for n in shape], dtype=np.int64))
