"""Objectives: activations → one number, always maximised; objectives compose."""

from typing import TYPE_CHECKING

from jaxviz._util.renamed import old_names
from jaxviz.objectives.activations import Activations, Network
from jaxviz.objectives.base import Objective, Product, Scaled, Sum
from jaxviz.objectives.diversity import Diversity
from jaxviz.objectives.given import Caricature, Inversion
from jaxviz.objectives.neuron import Neuron
from jaxviz.objectives.penalties import Border, LatentNorm, Norm, TotalVariation
from jaxviz.objectives.registry import OBJECTIVES, AnyObjective
from jaxviz.objectives.units import Channel, Cosine, Direction, Layer, Logit, trimmed_mean

__all__ = [
    "OBJECTIVES",
    "Activations",
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
    "Sum",
    "TotalVariation",
    "trimmed_mean",
]

if not TYPE_CHECKING:
    __getattr__ = old_names(__name__, {"Seen": "Activations"})
