"""The implementation of each node, chosen per platform.

One operation has several exact implementations, and the fastest on a CPU can be the slowest on a
TPU: pooling by slices avoids XLA's slow gradient on a CPU and doubles a TPU's memory traffic. Each
implementation states in its own file where it is chosen; `kernels/README.md` lists them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import numpy as np

import jaxviz.model.kernels  # noqa: F401 (registers the fast implementations)
from jaxviz._util import settings
from jaxviz.model.fusion import (
    branch_implementations,
    folded_weights,
    fused_implementations,
    tpu_implementations,
)
from jaxviz.model.graph import branches_key, derived_key
from jaxviz.model.ops import PREPARE
from jaxviz.model.ops.registry import BACKWARD, BOTH_WAYS, FOLDED, implemented, preferences
from jaxviz.spec import ModelSpec, Node, Shape

#: Weights by layer and name, as arrays of NumPy or JAX.
LayerWeights = Mapping[str, Mapping[str, np.ndarray | jax.Array]]


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
        dtype: Type of the computation; except on a TPU, bfloat16 stays with XLA's implementations.

    Returns:
        {node name: implementation name}. On a CPU also, under `branches_key`, what is kept in
        memory of a node that several nodes read.

    Raises:
        ConfigError: If JAXVIZ_LOWERINGS is set to anything but `reference` or `fast`.
    """
    if settings.LOWERINGS.read() == "reference":
        return {}
    if dtype == "bfloat16" and platform != "tpu":
        return {}
    chosen = _preferred(spec, targets, platform, shapes)
    if platform == "tpu":
        chosen |= tpu_implementations(spec, targets, shapes)
    if platform == "cpu":
        chosen |= fused_implementations(spec, targets, chosen)
        chosen |= branch_implementations(spec, targets)
    return chosen


def _preferred(
    spec: ModelSpec, targets: Sequence[str], platform: str, shapes: Mapping[str, Shape]
) -> dict[str, str]:
    """The first preference of the platform that suits each node upstream."""
    there = preferences(platform)
    chosen = {}
    for node in spec.upstream(targets):
        for preference in there:
            if isinstance(node.op, preference.op) and preference.suits(
                node.op, shapes[node.inputs[0]]
            ):
                chosen[node.name] = preference.implementation
                break
    return chosen


def known(spec: ModelSpec, implementations: Mapping[str, str]) -> bool:
    """Whether this version has all the implementations that a run was begun with."""
    branches = {branches_key(node.name) for node in spec.nodes}
    return all(
        implementation in (BACKWARD, BOTH_WAYS)
        if name in branches
        else name in spec.by_name and implemented(spec.by_name[name].op, implementation)
        for name, implementation in implementations.items()
    )


def prepare_weights(
    spec: ModelSpec,
    params: LayerWeights,
    implementations: Mapping[str, str],
    targets: Sequence[str],
) -> dict[str, dict[str, np.ndarray | jax.Array]]:
    """The weights upstream of some nodes, and those that implementations derive from them.

    Args:
        spec: The architecture.
        params: Weights by layer and name.
        implementations: From `choose_implementations`.
        targets: Names of nodes.

    Returns:
        Weights by layer and name. The weights derived for a node are under its `derived_key`.
    """
    nodes = spec.upstream(targets)
    prepared: dict[str, dict[str, np.ndarray | jax.Array]] = {
        node.layer: dict(params[node.layer]) for node in nodes if node.layer in params
    }
    folded = {node.inputs[0]: node for node in nodes if implementations.get(node.name) == FOLDED}
    for node in nodes:
        weights = _by_role(node, params)
        derived: dict[str, np.ndarray | jax.Array] = {}
        if node.name in folded:
            norm = folded[node.name]
            derived |= folded_weights(norm, node, weights, _by_role(norm, params))
        prepare = PREPARE.get((type(node.op), implementations.get(node.name, "")))
        if prepare is not None:
            derived |= prepare(node.op, {**weights, **derived})
        if derived:
            prepared[derived_key(node)] = derived
    return prepared


def _by_role(node: Node, params: LayerWeights) -> dict[str, np.ndarray | jax.Array]:
    return {role: params[node.layer][name] for role, name in node.weights.items()}
