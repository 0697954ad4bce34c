"""Which implementation each node is computed in, per platform.

The same operation has several exact implementations, and the fastest on a CPU is the worst on a
TPU: pooling by slices is 40 times faster on a CPU than XLA's own gradient and doubles
the memory traffic of a TPU, which bounds its speed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxviz._util import settings
from jaxviz.model.fusion import (
    accelerator_implementations,
    branch_implementations,
    folded_weights,
    fused_implementations,
)
from jaxviz.model.graph import branches_key, derived_key
from jaxviz.model.kernels.dilated import DILATED, suits_dilated
from jaxviz.model.kernels.grouped import BLOCKS, is_depthwise, is_grouped
from jaxviz.model.kernels.im2col import PATCHES, is_pointwise
from jaxviz.model.kernels.widened import PREPARED, is_image, suits_prepared
from jaxviz.model.kernels.winograd import (
    IN_BLOCKS,
    SMALL,
    SMALL_IN_BLOCKS,
    WINOGRAD,
    suits_small_tiles,
    suits_winograd,
)
from jaxviz.model.ops import PREPARE
from jaxviz.model.ops.conv import SLICES
from jaxviz.model.ops.elementwise import FACTORS
from jaxviz.model.ops.norm import is_plain_norm
from jaxviz.model.ops.registry import BACKWARD, BOTH_WAYS, FOLDED, WRITTEN_OUT, implemented
from jaxviz.runtime.workers import core_count, lane_count
from jaxviz.spec import BatchNorm, Conv, DepthwiseConv, LayerNorm, ModelSpec, Node, Op, Pool, Shape

#: (operation, shape of its input) -> whether a implementation is exact and faster there.
Rule = Callable[[Any, Shape], bool]


class Lowering(NamedTuple):
    """A fast implementation of an operation, and where it is taken.

    Attributes:
        op: The operation; its reference implementation is `direct`.
        implementation: Under which name it is registered (`jaxviz.model.ops.registry.implements`).
        platforms: Where it is faster.
        applies: For which settings and input shapes it is exact and faster.
    """

    op: type[Op]
    implementation: str
    platforms: frozenset[str]
    applies: Rule


_CPU = frozenset({"cpu"})


def _always(op: Any, shape: Shape) -> bool:
    return True


def _in_blocks(rule: Rule) -> Rule:
    """And all cores have a lane of their own: what is done in blocks is done by one core."""
    return lambda op, shape: core_count() == lane_count("cpu") and rule(op, shape)


#: The first that applies is taken; where none does, `direct`. Every implementation is compared with
#: `direct`, values and gradients, in `tests/jaxviz/test_forms.py`, which fails for a implementation
#: here that it has no comparison for.
LOWERINGS = (
    Lowering(Pool, SLICES, _CPU, _always),
    Lowering(DepthwiseConv, SLICES, _CPU, _always),
    Lowering(Conv, SLICES, _CPU, is_depthwise),
    Lowering(Conv, BLOCKS, _CPU, is_grouped),
    Lowering(Conv, PATCHES, _CPU, is_pointwise),
    Lowering(Conv, PREPARED, _CPU, is_image),
    Lowering(Conv, SMALL_IN_BLOCKS, _CPU, _in_blocks(suits_small_tiles)),
    Lowering(Conv, SMALL, _CPU, suits_small_tiles),
    Lowering(Conv, IN_BLOCKS, _CPU, _in_blocks(suits_winograd)),
    Lowering(Conv, WINOGRAD, _CPU, suits_winograd),
    Lowering(Conv, DILATED, _CPU, suits_dilated),
    Lowering(Conv, PREPARED, _CPU, suits_prepared),
    Lowering(BatchNorm, FACTORS, _CPU, _always),
    Lowering(LayerNorm, WRITTEN_OUT, _CPU, is_plain_norm),
)


def choose_implementations(
    spec: ModelSpec,
    targets: Sequence[str],
    platform: str,
    shapes: Mapping[str, Shape],
    dtype: str = "float32",
) -> dict[str, str]:
    """The implementation of every node upstream of the targets that has a better one than `direct`.

    Args:
        spec: The architecture.
        targets: Names of nodes.
        platform: `cpu`, `gpu` or `tpu`, as `jax.default_backend()` says.
        shapes: Shape of every node upstream and of the inputs, from `ModelSpec.shapes`.
        dtype: What is computed in; off a TPU bfloat16 stays with XLA's implementations.

    Returns:
        {node name: implementation name}, and on a CPU by `branches_key` what of its branches is
        kept in memory.

    Raises:
        ConfigError: If JAXVIZ_LOWERINGS is set to anything but `reference` or `fast`.
    """
    if settings.LOWERINGS.read() == "reference":
        return {}
    if platform == "tpu":
        return accelerator_implementations(spec, targets, shapes)
    if dtype == "bfloat16":
        return {}
    there = [lowering for lowering in LOWERINGS if platform in lowering.platforms]
    chosen = {}
    for node in spec.upstream(targets):
        for lowering in there:
            if isinstance(node.op, lowering.op) and lowering.applies(
                node.op, shapes[node.inputs[0]]
            ):
                chosen[node.name] = lowering.implementation
                break
    if platform == "cpu":
        chosen |= fused_implementations(spec, targets, chosen) | branch_implementations(
            spec, targets
        )
    return chosen


def known(spec: ModelSpec, implementations: Mapping[str, str]) -> bool:
    """Whether all implementations that a run was begun in are still there."""
    branches = {branches_key(node.name) for node in spec.nodes}
    return all(
        implementation in (BACKWARD, BOTH_WAYS)
        if name in branches
        else name in spec.by_name and implemented(spec.by_name[name].op, implementation)
        for name, implementation in implementations.items()
    )


def prepare_weights(
    spec: ModelSpec,
    params: Mapping[str, Any],
    implementations: Mapping[str, str],
    targets: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """The weights upstream of some nodes, and what implementations derive from them beforehand.

    Args:
        spec: The architecture.
        params: Weights by layer and name.
        implementations: From `choose_implementations`.
        targets: Names of nodes.

    Returns:
        Weights by layer and name, with those derived for a node under its `derived_key`.
    """
    nodes = spec.upstream(targets)
    prepared: dict[str, dict[str, Any]] = {
        node.layer: dict(params[node.layer]) for node in nodes if node.layer in params
    }
    folded = {node.inputs[0]: node for node in nodes if implementations.get(node.name) == FOLDED}
    for node in nodes:
        weights = _by_role(node, params)
        derived: dict[str, Any] = {}
        if node.name in folded:
            norm = folded[node.name]
            derived = dict(folded_weights(norm, node, weights, _by_role(norm, params)))
        prepare = PREPARE.get((type(node.op), implementations.get(node.name, "")))
        if prepare is not None:
            derived |= prepare(node.op, {**weights, **derived})
        if derived:
            prepared[derived_key(node)] = derived
    return prepared


def _by_role(node: Node, params: Mapping[str, Any]) -> dict[str, Any]:
    return {role: params[node.layer][name] for role, name in node.weights.items()}
