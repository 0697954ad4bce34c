"""How each operation of `jaxviz.spec` is computed: one file a family, as there."""

from jaxviz.model.ops import conv, einsum, elementwise, layout, norm, pool
from jaxviz.model.ops.registry import DIRECT, FORMS, compute, implements

__all__ = [
    "DIRECT", "FORMS", "compute", "conv", "einsum", "elementwise", "implements", "layout", "norm",
    "pool",
]  # fmt: skip
