"""How each operation of `jaxviz.spec` is computed: one file a family, as there."""

from jaxviz.model.ops import (
    conv,
    dilated,
    einsum,
    elementwise,
    gelu,
    grouped,
    layout,
    norm,
    patches,
    pool,
    prepared,
    summed,
    winograd,
)
from jaxviz.model.ops.registry import DIRECT, FORMS, PREPARE, compute, implements

__all__ = [
    "DIRECT", "FORMS", "PREPARE", "compute", "conv", "dilated", "einsum", "elementwise",
    "gelu", "grouped", "implements", "layout", "norm", "patches", "pool", "prepared", "summed",
    "winograd",
]  # fmt: skip
