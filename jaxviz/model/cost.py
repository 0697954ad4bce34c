"""The arithmetic and memory traffic that one step of one unit needs at least.

The counts follow from the architecture alone. An implementation with fewer multiplications
(Winograd's) and a program with more are judged against the same number.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxviz.model.channel import plan_channel
from jaxviz.model.ops import rules_of
from jaxviz.model.ops.conv import sizes_product
from jaxviz.spec import ModelSpec


class StepCost(NamedTuple):
    """Counts for one image and one ascent step.

    Attributes:
        flops: Floating-point operations of convolutions and products, forward and for the
            gradient to the image; a multiplication and an addition are two. Arithmetic on single
            numbers (activations, norms, pools) is left out, because XLA fuses it.
        activations: Numbers in the results of convolutions, products and pools.
        weights: Numbers in the kernels that are read.
    """

    flops: int
    activations: int
    weights: int


def step_cost(
    spec: ModelSpec, layer: str, shape: tuple[int, ...], *, one_channel: bool = True
) -> StepCost:
    """Count the arithmetic and memory traffic of one step of one image.

    Args:
        spec: The architecture.
        layer: The layer whose unit's picture is made.
        shape: (height, width, channels) of the network's input.
        one_channel: Whether only the unit's channel of the layer is computed.

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
        rules, inputs = rules_of(node.op), [shapes[i] for i in node.inputs]
        own = rules.flops(node.op, inputs, shapes[node.name])
        made = sizes_product(shapes[node.name]) if rules.stored else 0
        kernel = node.op.weight_shapes(*inputs).get("kernel")
        read = sizes_product(kernel) if kernel else 0
        if node.name in alone:
            own, made, read = (n // (shapes[node.name][-1] or 1) for n in (own, made, read))
        # The gradient to the input takes as many operations as the way forward.
        flops, activations, weights = flops + 2 * own, activations + made, weights + read
    return StepCost(flops, activations, weights)
