"""Parameterizations: latent ↔ picture, how the optimised array becomes an image."""

from typing import TYPE_CHECKING

from jaxviz._util.renamed import old_names
from jaxviz.parameterizations.base import Parameterization
from jaxviz.parameterizations.colour import measured_colour
from jaxviz.parameterizations.fourier import Fourier
from jaxviz.parameterizations.phase import Phase, measured_spectrum
from jaxviz.parameterizations.pixel import Pixel
from jaxviz.parameterizations.registry import PARAMETERIZATIONS, AnyParameterization

__all__ = [
    "PARAMETERIZATIONS",
    "AnyParameterization",
    "Fourier",
    "Parameterization",
    "Phase",
    "Pixel",
    "measured_colour",
    "measured_spectrum",
]

if not TYPE_CHECKING:
    __getattr__ = old_names(__name__, {"Values": "Parameterization"})
