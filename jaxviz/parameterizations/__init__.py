"""What is optimised, and how it becomes a picture: latent ↔ image."""

from typing import Annotated

from pydantic import Field

from jaxviz.parameterizations.colour import Values, measured_colour
from jaxviz.parameterizations.fourier import Fourier
from jaxviz.parameterizations.phase import Phase, measured_spectrum
from jaxviz.parameterizations.pixel import Pixel

AnyParameterization = Annotated[Pixel | Fourier | Phase, Field(discriminator="kind")]
#: Every parameterization by the name that it has in a preset.
PARAMETERIZATIONS: dict[str, type[Values]] = {
    kind.model_fields["kind"].default: kind for kind in (Pixel, Fourier, Phase)
}

__all__ = [
    "PARAMETERIZATIONS",
    "AnyParameterization",
    "Fourier",
    "Phase",
    "Pixel",
    "Values",
    "measured_colour",
    "measured_spectrum",
]
