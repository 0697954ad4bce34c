"""Activations -> one number, always maximised; objectives compose."""

from typing import Annotated

from pydantic import Field

from jaxviz.objectives.activations import Activations, Network
from jaxviz.objectives.base import Objective, Product, Scaled, Sum, _Several
from jaxviz.objectives.diversity import Diversity
from jaxviz.objectives.given import Caricature, Inversion
from jaxviz.objectives.neuron import Neuron
from jaxviz.objectives.penalties import Border, LatentNorm, Norm, TotalVariation
from jaxviz.objectives.units import Channel, Cosine, Direction, Layer, Logit, trimmed_mean

AnyObjective = Annotated[
    Channel | Neuron | Layer | Direction | Cosine | Logit | Inversion | Caricature | Diversity
    | TotalVariation | Norm | LatentNorm | Border
    | Sum | Scaled | Product,
    Field(discriminator="kind"),
]  # fmt: skip
#: Every objective by the name that it has in a preset.
OBJECTIVES: dict[str, type[Objective]] = {
    kind.model_fields["kind"].default: kind
    for kind in (
        Channel, Neuron, Layer, Direction, Cosine, Logit, Inversion, Caricature, Diversity,
        TotalVariation, Norm, LatentNorm, Border, Sum, Scaled, Product,
    )
}  # fmt: skip

for _kind in (_Several, Sum, Scaled, Product):
    _kind.model_rebuild(_types_namespace={"AnyObjective": AnyObjective})

__all__ = [
    "OBJECTIVES",
    "AnyObjective",
    "Border",
    "Caricature",
    "Channel",
    "Cosine",
    "Direction",
    "Diversity",
    "Inversion",
    "LatentNorm",
    "Layer",
    "Logit",
    "Network",
    "Neuron",
    "Norm",
    "Objective",
    "Product",
    "Scaled",
    "Activations",
    "Sum",
    "TotalVariation",
    "trimmed_mean",
]
