"""Feature maps: what each layer sees in an image, and what the network concludes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from math import isqrt
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure, SubFigure

from jaxviz.errors import ConfigError
from jaxviz.figures.canvas import number
from jaxviz.figures.capture import (
    capture,
    check_channels,
    check_spatial,
    choose_channels,
    map_layers,
)
from jaxviz.figures.classes import class_bars, class_labels
from jaxviz.figures.rows import Block, Page, Scale, Tile, draw_page
from jaxviz.figures.style import Theme, get_colormap, get_theme
from jaxviz.imaging.files import Images, from_arrays, read_images
from jaxviz.model import Model
from jaxviz.spec import InputRange

#: Images as files, as what `read_images` made of them, or as an array in the network's units.
ImagesLike = Images | np.ndarray | Sequence[str | os.PathLike[str]]
#: How to choose channels, or their numbers: for every layer, or by layer.
Channels = str | Sequence[int] | Mapping[str, Sequence[int]]
Normalise = Literal["layer", "map"]

_SELECTED = {
    "first": "The first channels of each layer.",
    "strongest": "The channels of each layer with the strongest mean response.",
    "variance": "The channels of each layer that vary most.",
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

    Layers that have negative values, such as pre-activations, get a diverging colour map
    whose middle is zero; the others a sequential one that begins at zero.

    Args:
        model: The network.
        images: Image files, or an array [image, height, width, channel] in input units.
        layers: Globs over layer names; convolutions and pooling where left out.
        maps: How many channels of each layer.
        channels: `first`, `strongest`, `variance`, or channel numbers, for all layers or as
            {layer: numbers}. A layer shows the same channels for every image.
        normalise: `layer`: one scale for all maps of a layer and all images, so that
            brightness compares. `map`: each map on its own scale, which is written above it.
        colormap: A Matplotlib name, instead of the theme's.
        labels: Names of the classes.
        range_: What black and white are to the network, if its spec does not say so.
        theme: `light` or `dark`.
        title: Above everything.
        fig: Draw into this figure or subfigure, scaled to fit.
        ax: Draw into this axes, scaled to fit.

    Returns:
        The figure; `figures.save` writes it.

    Raises:
        LayerError: If a layer or channel does not exist, or has no maps.
        ImageSizeError: If something is no image, or does not fit.

    Example:
        >>> import jaxviz
        >>> model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
        >>> figure = feature_maps(model, np.zeros((1, 96, 96, 3)), layers=["conv1"], maps=2)
        >>> bool(figure.get_size_inches()[0] > 4)
        True
    """
    spec, look = model.spec, get_theme(theme)
    if normalise not in ("layer", "map"):
        raise ConfigError(f"cannot normalise by {normalise!r}", hint="There are: layer, map.")
    colours = None if colormap is None else get_colormap(colormap)
    seen_images = as_images(images, spec=model.spec, range_=range_)
    names = map_layers(spec, layers)
    seen = capture(model, seen_images.inputs, names)
    blocks = []
    for name in names:
        chosen = pick_channels(name, seen.maps[name], maps, channels)
        blocks.append(_block(name, seen.maps[name], chosen, normalise, colours, look))
    side = None
    if seen.output.ndim == 2:
        side = class_bars(seen.output, class_labels(spec, labels, seen.output.shape[1]))
    elif labels is not None:
        raise ConfigError(
            f"model {spec.name!r} has no classes to label: its output is of shape "
            f"{'×'.join(map(str, seen.output.shape[1:]))}"
        )
    notes = [_SELECTED[channels]] if isinstance(channels, str) else []
    notes.append(
        "One colour scale a layer: brightness compares within it."
        if normalise == "layer"
        else "Each map has a colour scale of its own, given above it: brightness does not compare. "
        "A plus: a few values are larger still."
    )
    return draw_page(
        Page(
            names=seen_images.names,
            shown=seen_images.shown,
            blocks=blocks,
            theme=look,
            side=side,
            title=title,
            notes=[*notes, *seen_images.notes],
        ),
        fig=fig,
        ax=ax,
    )


def as_images(images: ImagesLike, *, spec, range_: InputRange | None) -> Images:  # noqa: ANN001
    """Images in any of the forms that figures take."""
    if isinstance(images, Images):
        return images
    if isinstance(images, np.ndarray):
        return from_arrays(images)
    return read_images(images, spec, range_=range_)


def pick_channels(name: str, maps: np.ndarray, count: int, channels: Channels) -> tuple[int, ...]:
    """The channels of one layer to show; see `feature_maps`."""
    if isinstance(channels, str):
        return choose_channels(maps, count, channels)
    if isinstance(channels, Mapping):
        if name not in channels:
            return choose_channels(maps, count)
        channels = channels[name]
    return check_channels(name, channels, maps.shape[-1])


def map_size(maps: np.ndarray) -> str:
    """The size and number of a layer's maps, as a subtitle."""
    height, width, count = maps.shape[1:]
    return f"{height}×{width}, {count} channel{'s' * (count != 1)}"


def grid_of(count: int) -> tuple[int, int]:
    """(rows, columns) in which so many maps are laid out.

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
    normalise: str,
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
            # Of a signed layer every map is: a map above zero must not change its colours.
            own = Scale.of(values, theme, colormap, signed=signed)
            span = "±" if signed else "0…"
            caption = f"{k}: {span}{number(own.limits[1])}{'+' if own.clipped else ''}"
            tiles.append(Tile(values, own, caption))
        grids.append([tiles[i : i + columns] for i in range(0, len(tiles), columns)])
    bar = ((0, columns - 1, common),) if normalise == "layer" else ()
    return Block(name, map_size(maps), grids, scales=bar)


__all__ = ["Channels", "ImagesLike", "as_images", "check_spatial", "feature_maps", "pick_channels"]
