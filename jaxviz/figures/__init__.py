"""The pictures that explain a CNN, as Matplotlib figures.

    from jaxviz import figures
    figure = figures.feature_maps(jaxviz.load("net.keras"), ["cat.jpg", "dog.jpg"])
    figures.save(figure, "maps.pdf")

Every function returns a Matplotlib `Figure`, and draws into a `fig` or `ax` of yours if given.
"""

from jaxviz.figures.activations import activation_maps
from jaxviz.figures.capture import save_arrays
from jaxviz.figures.convolution import convolution_animation, convolution_example
from jaxviz.figures.maps import feature_maps
from jaxviz.figures.pooling import pooling_example, pooling_maps
from jaxviz.figures.style import THEMES, Theme, save
from jaxviz.figures.swaps import swapped_activations
from jaxviz.figures.weights import filter_weights
from jaxviz.imaging.files import Images, from_arrays, read_images

__all__ = [
    "THEMES", "Images", "Theme", "activation_maps", "convolution_animation",
    "convolution_example", "feature_maps", "filter_weights", "from_arrays", "pooling_example",
    "pooling_maps", "read_images", "save", "save_arrays", "swapped_activations",
]  # fmt: skip
