"""The pictures that explain a CNN, as Matplotlib figures."""

from jaxviz.figures.maps import feature_maps
from jaxviz.figures.style import THEMES, Theme, save

__all__ = ["THEMES", "Theme", "feature_maps", "save"]
