"""The reference implementation of each operation in `jaxviz.spec`: one file a family, as there."""

from jaxviz._util.parts import modules_of
from jaxviz.model.ops.registry import (
    DIRECT,
    IMPLEMENTATIONS,
    PREPARE,
    RULES,
    compute,
    rules_of,
)

__all__ = ["DIRECT", "IMPLEMENTATIONS", "PREPARE", "RULES", "compute", "rules_of"]

modules_of(__name__)
