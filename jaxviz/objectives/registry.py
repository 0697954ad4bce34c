"""Every objective by its `kind`, found by its class: a new one is one file here."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from jaxviz._util.parts import kinds_of, modules_of, union_of
from jaxviz.objectives.base import Objective, Product, Scaled, Sum

#: Every objective by the `kind` that a preset names; listings have this order.
OBJECTIVES: dict[str, type[Objective]] = kinds_of(
    Objective,
    modules_of("jaxviz.objectives", besides=("registry", "text")),
    listed=(
        "channel", "neuron", "layer", "direction", "cosine", "logit", "inversion", "caricature",
        "diversity", "total_variation", "norm", "latent_norm", "border",
        "sum", "scaled", "product",
    ),
)  # fmt: skip

if TYPE_CHECKING:
    AnyObjective: TypeAlias = Objective
else:
    #: An objective as a field of a document, told apart by `kind`.
    AnyObjective = union_of(OBJECTIVES)

for _kind in (Sum, Scaled, Product):
    _kind.model_rebuild(_types_namespace={"AnyObjective": AnyObjective})
