"""Parameterizations: latent ↔ picture, how the optimised array becomes an image."""

import warnings
from typing import TYPE_CHECKING, Any

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

    def __getattr__(name: str) -> Any:
        if name != "Values":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        message = "Values is now Parameterization; the old name goes away in jaxviz 0.3"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return Parameterization
