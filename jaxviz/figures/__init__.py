"""Figures that explain a CNN, made with Matplotlib.

    from jaxviz import figures
    figure = figures.feature_maps(jaxviz.load("net.keras"), ["cat.jpg", "dog.jpg"])
    figures.save(figure, "maps.pdf")

Every function returns a Matplotlib `Figure`, and draws into your own `fig` or `ax` if given.
"""

from jaxviz.figures.activations import activation_maps
from jaxviz.figures.animation import convolution_animation
from jaxviz.figures.arrays import save_arrays
from jaxviz.figures.convolution import convolution_example
from jaxviz.figures.maps import feature_maps
from jaxviz.figures.pooling import pooling_maps
from jaxviz.figures.pooling_example import pooling_example
from jaxviz.figures.style import THEMES, Theme, save
from jaxviz.figures.swaps import swapped_activations
from jaxviz.figures.weights import filter_weights
from jaxviz.imaging.files import Images, from_arrays, read_images

__all__ = [
    "THEMES", "Images", "Theme", "activation_maps", "convolution_animation",
    "convolution_example", "feature_maps", "filter_weights", "from_arrays", "pooling_example",
    "pooling_maps", "read_images", "save", "save_arrays", "swapped_activations",
]  # fmt: skip
