"""The reference implementation of each operation in `jaxviz.spec`: one file a family, as there."""

from jaxviz.model.ops import conv, einsum, elementwise, layout, norm, pool
from jaxviz.model.ops.registry import DIRECT, IMPLEMENTATIONS, PREPARE, compute, implements

__all__ = [
    "DIRECT", "IMPLEMENTATIONS", "PREPARE", "compute", "conv", "einsum", "elementwise",
    "implements", "layout", "norm", "pool",
]  # fmt: skip
