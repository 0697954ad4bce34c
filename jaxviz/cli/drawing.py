"""Options of the figure commands, and the networks, images and channels that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from jaxviz.cli.options import Given, options, range_options, weights_option
from jaxviz.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxviz.figures.choose import Channels
    from jaxviz.imaging.files import Images
    from jaxviz.model import Model
    from jaxviz.spec import InputRange

_SELECTIONS = ("variance", "strongest", "first")
_THEMES = ("light", "dark")

look_options = options(
    click.option(
        "--theme",
        type=click.Choice(_THEMES),
        default="light",
        show_default=True,
        help="Colours for print or for dark slides.",
    ),
    click.option("--title", default="", metavar="TEXT", help="Text above everything."),
    click.option(
        "--dpi",
        type=click.IntRange(min=20, max=1200),
        default=150,
        show_default=True,
        help="Pixels per inch.",
    ),
)
output_option = click.option(
    "-o", "--output", required=True, metavar="FILE", help="The figure; ends in .png, .svg or .pdf."
)
channel_options = options(
    click.option(
        "--layers",
        "layers_",
        multiple=True,
        metavar="GLOB",
        help="Layers by name; may be repeated.",
    ),
    click.option("--maps", type=click.IntRange(min=1), metavar="N", help="Channels per layer."),
    click.option(
        "--select",
        type=click.Choice(_SELECTIONS),
        default="variance",
        show_default=True,
        help="Show the channels that vary most, respond most strongly, or come first.",
    ),
    click.option(
        "--channels",
        multiple=True,
        metavar="[LAYER=]A,B,…",
        help="Channel numbers, for all layers or for one; may be repeated.",
    ),
)
image_options = options(
    click.option(
        "--size",
        type=click.IntRange(min=1),
        help="Side of the images in pixels, for a network that takes any.",
    ),
    weights_option,
    range_options,
)
labels_option = click.option(
    "--labels",
    metavar="FILE|A,B,…",
    help="Names of the classes: a file with one a line, a JSON list, or the names.",
)


class Look(TypedDict):
    """Arguments of every figure that say how it looks."""

    theme: str
    title: str


class Selection(TypedDict, total=False):
    """Arguments of a figure that say which channels it shows.

    Where `maps` is left out, the figure's default holds.
    """

    channels: Channels
    maps: int


def open_model(model: str, weights: str | None) -> Model:
    """The network in a bundle or a model file."""
    from jaxviz.bundle.load import load_bundle
    from jaxviz.model import Model

    return Model(load_bundle(model, weights=weights))


def image_settings(given: Given) -> tuple[InputRange | None, tuple[int, int] | None]:
    """(input range, size in pixels) of `image_options`; None for each option left out."""
    from jaxviz.imaging.ranges import chosen_range

    size = (given["size"],) * 2 if given["size"] else None
    return chosen_range(given["range_"], given["preprocess"]), size


def open_images(network: Model, images: tuple[str, ...], given: Given) -> Images:
    """Image files in the network's input units; changes to them are noted on standard error."""
    from jaxviz.imaging.files import read_images

    range_, size = image_settings(given)
    pictures = read_images(images, network.spec, size=size, range_=range_)
    for note in pictures.notes:
        click.echo(note, err=True)
    return pictures


def selection(given: Given) -> Selection:
    """The arguments that `channel_options` give."""
    channels = parse_channels(given["channels"]) or given["select"]
    chosen = Selection(channels=channels)
    if given["maps"]:
        chosen["maps"] = given["maps"]
    return chosen


def parse_channels(texts: tuple[str, ...]) -> Channels:
    """Channel numbers for all layers, or by layer; an empty list where nothing is given.

    Raises:
        ConfigError: If a text is not `0,3,7` or `conv1=0,3,7`.

    Example:
        >>> parse_channels(("0,3", "7")), parse_channels(("conv1=2",))
        ([0, 3, 7], {'conv1': [2]})
    """
    by_layer: dict[str, list[int]] = {}
    everywhere: list[int] = []
    for text in texts:
        layer, _, numbers = text.rpartition("=")
        try:
            found = [int(n) for n in numbers.split(",")]
        except ValueError:
            raise ConfigError(
                f"--channels {text!r} is not a list of channel numbers",
                hint="Expected 0,3,7 or conv1=0,3,7.",
            ) from None
        if layer:
            by_layer[layer] = found
        else:
            everywhere += found
    if by_layer and everywhere:
        raise click.UsageError("--channels names channels either for all layers or by layer")
    return by_layer or everywhere


def class_names(labels: str | None) -> tuple[str, ...] | None:
    """The classes that `labels_option` names, or None."""
    from jaxviz.figures.classes import read_labels

    return read_labels(labels) if labels else None


def look(given: Given) -> Look:
    """The arguments that `look_options` give."""
    return Look(theme=given["theme"], title=given["title"])


def finish(figure: Figure, path: Path, dpi: float) -> None:
    """Save a figure and print where it is."""
    from jaxviz.figures.style import save

    save(figure, path, dpi=dpi)
    click.echo(str(path))
