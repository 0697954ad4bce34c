"""What most figures do first: read the images, and choose layers and channels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from jaxviz.figures.capture import Captured, capture
from jaxviz.figures.choose import Channels, pick_channels
from jaxviz.figures.look import Look
from jaxviz.figures.rows import Block, Page, Side, draw_page
from jaxviz.imaging.files import Images, from_arrays, read_images
from jaxviz.model import Model
from jaxviz.spec import InputRange, ModelSpec

#: Images as files, as `read_images` returns them, or as an array in the network's input units.
ImagesLike = Images | np.ndarray | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, kw_only=True)
class FigureRequest:
    """Everything that a figure of activations is asked for, with the images read.

    Attributes:
        model: The network.
        images: The images in the network's units and as people see them.
        maps: Channels of each layer.
        channels: How to choose them; see `jaxviz.figures.choose.pick_channels`.
        look: Theme, title and place of the figure.
    """

    model: Model
    images: Images
    maps: int
    channels: Channels
    look: Look

    @classmethod
    def of(
        cls,
        model: Model,
        images: ImagesLike,
        look: Look,
        *,
        maps: int,
        channels: Channels,
        range_: InputRange | None,
    ) -> FigureRequest:
        """A request with images in any form that figures take.

        Args:
            model: The network.
            images: Image files, or an array [image, height, width, channel] in input units.
            look: Theme, title and place of the figure.
            maps: Channels of each layer.
            channels: How to choose them.
            range_: Values of black and white in the network's units, for image files; by
                default the range in the network's spec.

        Raises:
            ImageSizeError: If an image cannot be read or does not fit the network.
        """
        if isinstance(images, np.ndarray):
            images = from_arrays(images)
        elif not isinstance(images, Images):
            images = read_images(images, model.spec, range_=range_)
        return cls(model=model, images=images, maps=maps, channels=channels, look=look)

    @property
    def spec(self) -> ModelSpec:
        """The network's architecture."""
        return self.model.spec

    def capture(self, layers: Sequence[str]) -> Captured:
        """The activations of these layers for the images."""
        return capture(self.model, self.images.inputs, layers)

    def pick(self, name: str, maps: np.ndarray) -> tuple[int, ...]:
        """The channels of a layer to show, given its maps [image, height, width, channel]."""
        return pick_channels(name, maps, self.maps, self.channels)

    def draw(
        self, blocks: Sequence[Block], notes: Sequence[str], side: Side | None = None
    ) -> Figure:
        """The figure: a row for each image, a block for each layer, and notes below.

        Args:
            blocks: The layers.
            notes: Sentences below the figure, before those about the images.
            side: Drawn at the right end of every row.
        """
        page = Page(
            names=self.images.names,
            shown=self.images.shown,
            blocks=blocks,
            look=self.look,
            side=side,
            notes=[*notes, *self.images.notes],
        )
        return draw_page(page)
