"""Which form each node is computed in, per platform.

The same operation has several exact forms, and the fastest on a CPU is the worst on a
TPU: pooling by slices is 40 times faster on a CPU than XLA's own gradient and doubles
the memory traffic of a TPU, which bounds its speed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxviz.errors import ConfigError
from jaxviz.model.graph import derived_key
from jaxviz.model.ops import FORMS, PREPARE
from jaxviz.model.ops.conv import IMAGE, is_image
from jaxviz.model.ops.winograd import WINOGRAD, suits_winograd
from jaxviz.spec import ModelSpec, Shape

#: `reference` computes everything as XLA has it, for debugging.
VARIABLE = "JAXVIZ_LOWERINGS"
#: (operation, shape of its input) -> whether a form is exact and faster there.
Rule = Callable[[Any, Shape], bool]
#: Forms in order of preference, each with where it applies; anything else is `direct`.
_PREFERRED: dict[str, tuple[tuple[str, Rule], ...]] = {
    "cpu": (
        ("slices", lambda op, shape: True),
        (IMAGE, is_image),
        (WINOGRAD, suits_winograd),
    ),
}


def choose_forms(
    spec: ModelSpec,
    targets: Sequence[str],
    platform: str,
    shapes: Mapping[str, Shape],
    dtype: str = "float32",
) -> dict[str, str]:
    """The form of every node upstream of the targets that has a better one than `direct`.

    Args:
        spec: The architecture.
        targets: Names of nodes.
        platform: `cpu`, `gpu` or `tpu`, as `jax.default_backend()` says.
        shapes: Shape of every node upstream and of the inputs, from `ModelSpec.shapes`.
        dtype: What is computed in; bfloat16 stays with XLA's forms, whose sums are float32.

    Returns:
        {node name: form name}.

    Raises:
        ConfigError: If JAXVIZ_LOWERINGS is set to anything but `reference` or `fast`.
    """
    asked = os.environ.get(VARIABLE, "fast")
    if asked not in ("fast", "reference"):
        raise ConfigError(f"{VARIABLE} is {asked!r}", hint="Expected fast or reference.")
    plain = asked == "reference" or dtype == "bfloat16"
    preferred = () if plain else _PREFERRED.get(platform, ())
    chosen = {}
    for node in spec.upstream(targets):
        for form, applies in preferred:
            if form in FORMS[type(node.op)] and applies(node.op, shapes[node.inputs[0]]):
                chosen[node.name] = form
                break
    return chosen


def prepare_weights(
    spec: ModelSpec, params: Mapping[str, Any], forms: Mapping[str, str], targets: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """The weights upstream of some nodes, and what the chosen forms make of them beforehand.

    Args:
        spec: The architecture.
        params: Weights by layer and name.
        forms: From `choose_forms`.
        targets: Names of nodes.

    Returns:
        Weights by layer and name, with those derived for a node under its `derived_key`.
    """
    nodes = spec.upstream(targets)
    prepared: dict[str, dict[str, Any]] = {
        node.layer: dict(params[node.layer]) for node in nodes if node.layer in params
    }
    for node in nodes:
        prepare = PREPARE.get((type(node.op), forms.get(node.name, "")))
        if prepare is not None:
            weights = {role: params[node.layer][name] for role, name in node.weights.items()}
            prepared[derived_key(node)] = dict(prepare(node.op, weights))
    return prepared
