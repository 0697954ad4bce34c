"""Feature maps: what each layer sees in an image, and what the network concludes."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure, SubFigure

from jaxviz.errors import ConfigError
from jaxviz.figures.choose import Channels, map_layers
from jaxviz.figures.classes import output_bars
from jaxviz.figures.look import Look
from jaxviz.figures.request import FigureRequest, ImagesLike
from jaxviz.figures.rows import Block, Scale, Tile, map_size
from jaxviz.figures.style import Theme, get_colormap
from jaxviz.figures.text import number
from jaxviz.model import Model
from jaxviz.spec import InputRange

Normalise = Literal["layer", "map"]

_SELECTED = {
    "first": "The first channels of each layer.",
    "strongest": "The channels of each layer with the strongest mean response.",
    "variance": "The channels of each layer that vary most.",
}
_SCALES = {
    "layer": "One colour scale a layer: brightness compares within it.",
    "map": "Each map has a colour scale of its own, given above it: brightness does not compare. "
    "A plus: a few values are larger still.",
}


def feature_maps(
    model: Model,
    images: ImagesLike,
    *,
    layers: Sequence[str] = (),
    maps: int = 4,
    channels: Channels = "variance",
    normalise: Normalise = "layer",
    colormap: str | None = None,
    labels: Sequence[str] | None = None,
    range_: InputRange | None = None,
    theme: str | Theme = "light",
    title: str = "",
    fig: Figure | SubFigure | None = None,
    ax: Axes | None = None,
) -> Figure:
    """A row per image: the input, maps of each layer, and the class probabilities.

    Maps with negative values, such as pre-activations, have a diverging colour map around zero.

    Args:
        model: The network.
        images: Image files, or an array [image, height, width, channel] in input units.
        layers: Globs over layer names; by default convolutions and pooling layers.
        maps: Channels of each layer.
        channels: `first`, `strongest`, `variance`, numbers, or {layer: numbers}.
        normalise: `layer` for one colour scale a layer, so that brightness compares; `map` for
            a scale for each map, written above it.
        colormap: A Matplotlib name, instead of the theme's.
        labels: Names of the classes.
        range_: Values of black and white in the network's units; by default its spec's range.
        theme: `light` or `dark`.
        title: Text above everything.
        fig: Draw into this figure or subfigure, scaled to fit.
        ax: Draw into this axes, scaled to fit.

    Returns:
        The figure.

    Raises:
        LayerError: If a layer or channel does not exist, or has no maps.
        ImageSizeError: If an image cannot be read or does not fit.

    Example:
        >>> import jaxviz
        >>> model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
        >>> figure = feature_maps(model, np.zeros((1, 96, 96, 3)), layers=["conv1"], maps=2)
    """
    look = Look.of(theme, title, fig, ax)
    if normalise not in _SCALES:
        raise ConfigError(f"cannot normalise by {normalise!r}", hint="There are: layer, map.")
    colours = None if colormap is None else get_colormap(colormap)
    request = FigureRequest.of(
        model, images, look, maps=maps, channels=channels, range_=range_
    )  # fmt: skip
    return _draw(request, map_layers(model.spec, layers), normalise, colours, labels)


def _draw(
    request: FigureRequest,
    layers: Sequence[str],
    normalise: Normalise,
    colormap: Colormap | None,
    labels: Sequence[str] | None,
) -> Figure:
    captured = request.capture(layers)
    blocks = []
    for name in layers:
        chosen = request.pick(name, captured.maps[name])
        blocks.append(
            _block(name, captured.maps[name], chosen, normalise, colormap, request.look.theme)
        )
    notes = [_SELECTED[request.channels]] if isinstance(request.channels, str) else []
    side = output_bars(request.spec, captured.output, labels)
    return request.draw(blocks, [*notes, _SCALES[normalise]], side)


def grid_of(count: int) -> tuple[int, int]:
    """(rows, columns) of a grid for this many maps.

    Example:
        >>> grid_of(4), grid_of(6), grid_of(1)
        ((2, 2), (2, 3), (1, 1))
    """
    rows = max(1, isqrt(count))
    return rows, -(-count // rows)


def _block(
    name: str,
    maps: np.ndarray,
    chosen: Sequence[int],
    normalise: Normalise,
    colormap: Colormap | None,
    theme: Theme,
) -> Block:
    common = Scale.of(maps[..., list(chosen)], theme, colormap)
    _, columns = grid_of(len(chosen))
    signed = common.limits[0] < 0
    grids = []
    for image in maps:
        tiles = []
        for k in chosen:
            values = image[..., k]
            if normalise == "layer" or not values.any():
                tiles.append(Tile(values, common, f"{k}" if values.any() else f"{k}: all zero"))
                continue
            # Every map of a signed layer has a signed scale, so that colours mean one thing.
            own = Scale.of(values, theme, colormap, signed=signed)
            span = "±" if signed else "0…"
            caption = f"{k}: {span}{number(own.limits[1])}{'+' if own.clipped else ''}"
            tiles.append(Tile(values, own, caption))
        grids.append([tiles[i : i + columns] for i in range(0, len(tiles), columns)])
    bar = ((0, columns - 1, common),) if normalise == "layer" else ()
    return Block(name, map_size(maps), grids, scales=bar)
