"""What is optimised, and how it becomes a picture: latent ↔ image."""

from jaxviz.parameterizations.pixel import Pixel

__all__ = ["Pixel"]
