"""Work that neighbouring nodes can take over from one another, exactly.

- A batch norm multiplies and adds per channel; the convolution before it can do both with its
  weights.
- A maximum and a ReLU commute, and behind the pooling the ReLU has fewer values to work on.

Both hold only if nothing else reads the value in between. Other implementations depend on whether
the neighbours' values are in memory; `prefer_beside` registers their rules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from jaxviz.model.graph import branches_key
from jaxviz.model.ops import rules_of
from jaxviz.model.ops.elementwise import is_plain_relu
from jaxviz.model.ops.pool import is_maximum, pads_pool
from jaxviz.model.ops.registry import (
    BACKWARD,
    BOTH_WAYS,
    FOLDED,
    KEPT,
    LOWEST,
    MOVED,
    MOVED_DIRECT,
    HostWeights,
    Surroundings,
    beside,
    implementation_of,
)
from jaxviz.spec import ModelSpec, Node, Shape

# On a TPU, a ReLU's result is kept up to this many channels; before an operation that XLA fuses
# with its input, up to fewer.
_FEW_CHANNELS, _FEW_BEFORE_JOINED = 64, 32


def tpu_implementations(
    spec: ModelSpec, targets: Sequence[str], shapes: Mapping[str, Shape]
) -> dict[str, str]:
    """Implementations for a TPU, where arithmetic is cheap and memory traffic sets the cost.

    - A ReLU moves behind the maximum pooling that reads it, because the pooled map is smaller.
      Zeros padded in between become lower than any value; XLA fuses them into the pooling.
    - A plain ReLU of few channels keeps its result. XLA would keep its input as well. With more
      channels, XLA fuses the ReLU with the convolutions around it and keeps one bit a value.
    - A batch norm of few channels before a maximum pooling keeps its result, because XLA would
      keep the convolution's result too.

    Args:
        spec: The architecture.
        targets: Nodes whose values are asked for.
        shapes: Shape of every node upstream.
    """
    nodes = spec.upstream(targets)
    readers = _readers(nodes)
    found: dict[str, str] = {}
    for node in nodes:
        joined = any(rules_of(reader.op).joins_input for reader in readers[node.name])
        few = _FEW_BEFORE_JOINED if joined else _FEW_CHANNELS
        if is_plain_relu(node.op) and (shapes[node.name][-1] or 0) <= few:
            found.setdefault(node.name, KEPT)
        source = _only_source(spec, node, targets, readers)
        zeros = source if source is not None and pads_pool(source.op, node.op) else None
        if zeros is not None:
            source = _only_source(spec, zeros, targets, readers)
        if source is None or not is_maximum(node.op):
            continue
        if is_plain_relu(source.op):
            found[node.name] = found[source.name] = MOVED_DIRECT
            if zeros is not None:
                found[zeros.name] = LOWEST
        elif rules_of(source.op).factors and (shapes[source.name][-1] or 0) <= _FEW_CHANNELS:
            found[source.name] = KEPT
    return found


def fused_implementations(
    spec: ModelSpec, targets: Sequence[str], implementations: Mapping[str, str]
) -> dict[str, str]:
    """Implementations for a CPU of the nodes upstream whose work a neighbour takes over.

    Args:
        spec: The architecture.
        targets: Nodes whose values are asked for, perhaps before their activation.
        implementations: The implementations chosen node by node.

    Returns:
        {node name: implementation}, which replace the given ones.
    """
    nodes = spec.upstream(targets)
    readers = _readers(nodes)
    found = {}
    for node in nodes:
        source = _only_source(spec, node, targets, readers)
        if source is not None:
            if _can_fold(node, source):
                found[node.name] = FOLDED
            if is_maximum(node.op) and is_plain_relu(source.op):
                found[node.name] = found[source.name] = MOVED
        around = Surroundings(
            input_in_memory=_comes_from_memory(spec, node, implementations),
            result_is_read=any(
                implementation_of(reader.op, implementations.get(reader.name)).in_memory.input
                for reader in readers[node.name]
            ),
        )
        if (better := beside(node.op, "cpu", around)) is not None:
            found[node.name] = better
    return found


def branch_implementations(spec: ModelSpec, targets: Sequence[str]) -> dict[str, str]:
    """What is kept in memory of each node upstream that several nodes read.

    The sum of its readers' gradients is kept. A sum of several maps is kept forward as well;
    each residual block would otherwise recompute the sums of all blocks before it.

    Returns:
        {key from `branches_key`: `gradient apart` or `apart both ways`}.
    """
    readers = _readers(spec.upstream(targets))
    return {
        branches_key(node.name): BOTH_WAYS if rules_of(node.op).combines else BACKWARD
        for node in spec.upstream(targets)
        if len(readers[node.name]) > 1
    }


def _readers(nodes: Sequence[Node]) -> dict[str, list[Node]]:
    readers: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        for name in node.inputs:
            readers[name].append(node)
    return readers


def _only_source(
    spec: ModelSpec, node: Node, targets: Sequence[str], readers: Mapping[str, list[Node]]
) -> Node | None:
    """The node before, if nothing else reads its result."""
    source = spec.by_name.get(node.inputs[0])
    if source is None or source.name in targets or len(readers[source.name]) > 1:
        return None
    return source


def _comes_from_memory(spec: ModelSpec, node: Node, implementations: Mapping[str, str]) -> bool:
    """Whether the node before, but for a batch norm, writes its result to memory."""
    source = spec.by_name.get(node.inputs[0])
    if source is not None and rules_of(source.op).factors:
        source = spec.by_name.get(source.inputs[0])
    if source is None:
        return False
    return implementation_of(source.op, implementations.get(source.name)).in_memory.result


def folded_weights(
    norm: Node, source: Node, weights: HostWeights, statistics: HostWeights
) -> dict[str, np.ndarray]:
    """The weights of a convolution that takes over a batch norm's work, computed in float64.

    Args:
        norm: The batch norm.
        source: The convolution before it.
        weights: The convolution's weights by role.
        statistics: The batch norm's weights by role.

    Returns:
        `kernel` and `bias` of the convolution, in the kernel's type.
    """
    factors, scaled_kernel = rules_of(norm.op).factors, rules_of(source.op).scaled_kernel
    assert factors is not None
    assert scaled_kernel is not None
    scale, shift = factors(norm.op, statistics)
    kernel = np.asarray(weights["kernel"])
    bias = np.asarray(weights.get("bias", 0.0), np.float64)
    return {
        "kernel": scaled_kernel(source.op, kernel, scale).astype(kernel.dtype),
        "bias": (bias * scale + shift).astype(kernel.dtype),
    }


def _can_fold(norm: Node, source: Node) -> bool:
    factors = rules_of(norm.op).factors if norm.op.channelwise else None
    return factors is not None and rules_of(source.op).scaled_kernel is not None
