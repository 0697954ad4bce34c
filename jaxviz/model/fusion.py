"""What neighbouring nodes can do for one another, exactly.

A batch norm at inference multiplies and adds per channel, which the convolution before it
can do with its weights. A maximum and a ReLU commute, and behind the pooling there is less
to do. Both only where nobody else sees the value in between. And a ReLU whose result is in
memory, for a convolution reads it there, need not be worked out again for its gradient.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxviz.model.graph import branches_key
from jaxviz.model.kernels.dilated import DILATED
from jaxviz.model.kernels.gelu import is_gelu
from jaxviz.model.kernels.grouped import BLOCKS
from jaxviz.model.kernels.shift_add import SUMMED, suits_summed
from jaxviz.model.kernels.winograd import IN_BLOCKS, SMALL, SMALL_IN_BLOCKS, WINOGRAD
from jaxviz.model.ops.conv import SLICES
from jaxviz.model.ops.elementwise import factors, knows_from_result
from jaxviz.model.ops.registry import (
    BACKWARD,
    BOTH_WAYS,
    FOLDED,
    INPUT_KEPT,
    KEPT,
    LOWEST,
    MOVED,
    MOVED_DIRECT,
)
from jaxviz.spec import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    DepthwiseConv,
    Merge,
    ModelSpec,
    Node,
    Pad,
    Pool,
    Shape,
)

# Forms of a convolution that lay their input out anew, and make their result in a loop.
_LAID_OUT = (WINOGRAD, IN_BLOCKS, SMALL, SMALL_IN_BLOCKS)
# Up to so many channels of a map a ReLU's result is kept on a TPU; fewer before a depthwise
# convolution, which XLA joins with it.
_FEW_CHANNELS, _FEW_BEFORE_DEPTHWISE = 64, 32


def accelerator_implementations(
    spec: ModelSpec, targets: Sequence[str], shapes: Mapping[str, Shape]
) -> dict[str, str]:
    """The same where what is computed costs nothing and what is in memory does.

    A ReLU stands behind the pooling, whose result is smaller; zeros around the map in between are
    then lower than any value, and XLA makes them the pooling's padding (ResNet50's conv5_block1 on
    a v5e: 7.8 → 7.2 MB to and from the memory beside the chip). Of few channels, its gradient takes
    nothing but its result, which whatever comes next reads: XLA keeps what went in as well
    (InceptionV3's conv2d_3 on a v6e: 11.8 MB an image, and 16.4 otherwise). With more channels it
    joins the ReLU with the convolutions around it and keeps where it is open in bits (Xception's
    block8_sepconv1 on a v5e: 34 MB, and 42 with all results kept). Bounded ones stay for the
    same reason, and so does a batch norm: it is joined with the convolution before it. But of few
    channels before a maximum pooling it is kept: XLA would keep the convolution's result too
    (mini-Xception's conv2d_7 on a v5e: 4.10 → 3.88 MB, with a pass less over the gradient).
    Depthwise convolutions of few channels are sums of shifted copies.
    """
    nodes = spec.upstream(targets)
    consumers = _consumers(nodes)
    found: dict[str, str] = {}
    for node in nodes:
        joined = any(isinstance(user.op, DepthwiseConv) for user in consumers[node.name])
        few = _FEW_BEFORE_DEPTHWISE if joined else _FEW_CHANNELS
        if _is_plain_relu(node.op) and (shapes[node.name][-1] or 0) <= few:
            found.setdefault(node.name, KEPT)
        if isinstance(node.op, DepthwiseConv) and suits_summed(node.op, shapes[node.inputs[0]]):
            found[node.name] = SUMMED
        source = _only_source(spec, node, targets, consumers)
        zeros = source if source is not None and _around(source.op, node.op) else None
        if zeros is not None:
            source = _only_source(spec, zeros, targets, consumers)
        if source is None or not _is_maximum(node.op):
            continue
        if _is_plain_relu(source.op):
            found[node.name] = found[source.name] = MOVED_DIRECT
            if zeros is not None:
                found[zeros.name] = LOWEST
        elif isinstance(source.op, BatchNorm) and (shapes[source.name][-1] or 0) <= _FEW_CHANNELS:
            found[source.name] = KEPT
    return found


def fused_implementations(
    spec: ModelSpec, targets: Sequence[str], implementations: Mapping[str, str]
) -> dict[str, str]:
    """The nodes upstream of the targets whose work a neighbour can do, with their implementations.

    Args:
        spec: The architecture.
        targets: Nodes whose values are asked for, and may be asked for before activation.
        implementations: The implementations that were chosen node by node.
    """
    nodes = spec.upstream(targets)
    consumers = _consumers(nodes)
    found = {}
    for node in nodes:
        source = _only_source(spec, node, targets, consumers)
        if source is not None:
            if isinstance(node.op, BatchNorm) and _can_fold(node.op, source):
                found[node.name] = FOLDED
            if _is_maximum(node.op) and _is_plain_relu(source.op):
                found[node.name] = found[source.name] = MOVED
        if knows_from_result(node.op) and any(
            _reads_memory(user, implementations) for user in consumers[node.name]
        ):
            found[node.name] = KEPT
        if is_gelu(node.op) and _comes_from_memory(spec, node, implementations):
            found[node.name] = INPUT_KEPT
    return found


def branch_implementations(spec: ModelSpec, targets: Sequence[str]) -> dict[str, str]:
    """What is in memory where several nodes upstream of the targets read the result of one.

    The gradient of all; what merges several maps, also forward: a residual block's sum is worked
    out from those of all blocks before it otherwise.
    """
    readers = _consumers(spec.upstream(targets))
    return {
        branches_key(node.name): BOTH_WAYS if isinstance(node.op, Merge) else BACKWARD
        for node in spec.upstream(targets)
        if len(readers[node.name]) > 1
    }


def _consumers(nodes: Sequence[Node]) -> dict[str, list[Node]]:
    consumers: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        for name in node.inputs:
            consumers[name].append(node)
    return consumers


def _only_source(
    spec: ModelSpec, node: Node, targets: Sequence[str], consumers: Mapping[str, list[Node]]
) -> Node | None:
    """The node before, where nobody else sees its result."""
    source = spec.by_name.get(node.inputs[0])
    if source is None or source.name in targets or len(consumers[source.name]) > 1:
        return None
    return source


def _is_plain_relu(op: Any) -> bool:
    return bool(op == Activation(function="relu"))


def _reads_memory(node: Node, implementations: Mapping[str, str]) -> bool:
    """Whether a node's input is in memory anyway, and not fused into the node's own loop."""
    return isinstance(node.op, (Conv, Dense)) and implementations.get(node.name) not in _LAID_OUT


def _comes_from_memory(spec: ModelSpec, node: Node, implementations: Mapping[str, str]) -> bool:
    """Whether a node's input is a product's result but for a batch norm, and not a loop's."""
    source = spec.by_name.get(node.inputs[0])
    if source is not None and isinstance(source.op, BatchNorm):
        source = spec.by_name.get(source.inputs[0])
    if source is None or not isinstance(source.op, (Conv, Dense)):
        return False
    return implementations.get(source.name) not in (*_LAID_OUT, SLICES, BLOCKS, DILATED)


def folded_weights(
    norm: Node, source: Node, weights: Mapping[str, Any], statistics: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The weights of a convolution that does a batch norm's work too; computed in float64.

    Args:
        norm: The batch norm.
        source: The convolution before it.
        weights: The convolution's, by role.
        statistics: The batch norm's, by role.
    """
    assert isinstance(norm.op, BatchNorm)
    scale, shift = factors(norm.op, statistics)
    kernel = np.asarray(weights["kernel"])
    if isinstance(source.op, DepthwiseConv):
        spread = scale.reshape(kernel.shape[-2:])
    else:
        spread = scale
    bias = np.asarray(weights.get("bias", 0.0), np.float64)
    return {
        "kernel": (kernel * spread).astype(kernel.dtype),
        "bias": (bias * scale + shift).astype(kernel.dtype),
    }


def _can_fold(norm: BatchNorm, source: Node) -> bool:
    return norm.axis == -1 and isinstance(source.op, (Conv, DepthwiseConv))


def _around(pad: Any, pool: Any) -> bool:
    """Whether zeros around a map are in no window of a pooling without a value of the map."""
    if not (isinstance(pad, Pad) and isinstance(pool, Pool) and pool.padding == "valid"):
        return False
    return all(max(pair) < k for pair, k in zip(pad.amounts, pool.window, strict=True))


def _is_maximum(op: Any) -> bool:
    return isinstance(op, Pool) and op.kind == "max"
