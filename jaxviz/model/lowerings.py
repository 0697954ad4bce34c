"""Which form each node is computed in, per platform.

The same operation has several exact forms, and the fastest on a CPU is the worst on a
TPU: pooling by slices is 40 times faster on a CPU than XLA's own gradient and doubles
the memory traffic of a TPU, which bounds its speed.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxviz.model.ops import FORMS
from jaxviz.spec import ModelSpec

#: Forms in order of preference; what an operation does not have is computed directly.
_PREFERRED: dict[str, tuple[str, ...]] = {"cpu": ("slices",)}


def choose_forms(spec: ModelSpec, targets: Sequence[str], platform: str) -> dict[str, str]:
    """The form of every node upstream of the targets that has a better one than `direct`.

    Args:
        spec: The architecture.
        targets: Names of nodes.
        platform: `cpu`, `gpu` or `tpu`, as `jax.default_backend()` says.

    Returns:
        {node name: form name}.
    """
    preferred = _PREFERRED.get(platform, ())
    chosen = {}
    for node in spec.upstream(targets):
        for form in preferred:
            if form in FORMS[type(node.op)]:
                chosen[node.name] = form
                break
    return chosen
