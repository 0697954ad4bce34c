"""The closed set of operations, one file a family; `jaxviz.model.ops` computes each of them.

The set consists of the subclasses of `Op` in this folder; a new operation enters no list.
"""

from jaxviz._util.parts import modules_of
from jaxviz.spec.op import Op

modules_of(__name__)

#: Every operation, by family.
OPS: tuple[type[Op], ...] = tuple(Op.__subclasses__())
