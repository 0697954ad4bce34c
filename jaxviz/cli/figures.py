"""The commands that draw: maps, activations, pooling, weights, convolution."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jaxviz._util.text import printable
from jaxviz.cli.options import options, range_options, weights_option
from jaxviz.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxviz.imaging.files import Images
    from jaxviz.model import Model

_ARRAYS = (".npz", ".zarr")
_SELECTIONS = ("variance", "strongest", "first")

_look = options(
    click.option(
        "--theme",
        type=click.Choice(("light", "dark")),
        default="light",
        show_default=True,
        help="For print or for dark slides.",
    ),
    click.option("--title", default="", metavar="TEXT", help="Written above everything."),
    click.option(
        "--dpi",
        type=click.IntRange(min=20, max=1200),
        default=150,
        show_default=True,
        help="Pixels per inch.",
    ),
)
_output = click.option(
    "-o", "--output", required=True, metavar="FILE", help="Ends in .png, .svg or .pdf."
)
_which = options(
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
        help="Which channels: those that vary most, respond most strongly, or come first.",
    ),
    click.option(
        "--channels",
        multiple=True,
        metavar="[LAYER=]A,B,…",
        help="Channels by number, for all layers or for one; may be repeated.",
    ),
)
_seen = options(
    click.option("--size", type=click.IntRange(min=1), help="Side of the images, if any will do."),
    weights_option,
    range_options,
)
_labels = click.option(
    "--labels",
    metavar="FILE|A,B,…",
    help="Names of the classes: a line each, a JSON list, or as typed.",
)


@click.command()
@click.argument("model")
@click.argument("images", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="A figure (.png, .svg, .pdf), or the numbers themselves (.npz, .zarr).",
)
@_which
@click.option(
    "--normalise",
    type=click.Choice(("layer", "map")),
    default="layer",
    show_default=True,
    help="One colour scale for all maps of a layer, or one for each map.",
)
@click.option("--colormap", metavar="NAME", help="One of Matplotlib's, instead of the theme's.")
@_labels
@_look
@_seen
@click.option("--json", "as_json", is_flag=True, help="Print what the network concluded, as JSON.")
def maps(model: str, images: tuple[str, ...], output: str, as_json: bool, **given: Any) -> None:
    """Show what each layer sees in images, and what the network concludes.

    IMAGES are files of any size and kind, cut and resized to what the network takes; or .npy
    files [height, width, channel] in its own units.
    """
    from jaxviz.figures import feature_maps
    from jaxviz.figures.style import FORMATS, check_output

    path = check_output(output, (*FORMATS, *_ARRAYS))
    network = _network(model, given)
    if path.suffix in _ARRAYS:
        report = _write_arrays(network, images, path, given)
    else:
        pictures, labels = _pictures(network, images, given), _read_labels(given)
        figure = feature_maps(
            network,
            pictures,
            **_chosen(given),
            labels=labels,
            normalise=given["normalise"],
            colormap=given["colormap"],
            theme=given["theme"],
            title=given["title"],
        )
        _save(figure, path, given["dpi"])
        report = {"images": _conclusions(network, pictures, labels)} if as_json else {}
    click.echo(json.dumps({"file": str(path), **report}) if as_json else str(path))


@click.command()
@click.argument("model")
@click.argument("images", nargs=-1, required=True)
@_output
@_which
@click.option(
    "--swap", is_flag=True, help="Put other functions in the place of one layer's, for one image."
)
@_labels
@_look
@_seen
def activations(model: str, images: tuple[str, ...], output: str, swap: bool, **given: Any) -> None:
    """Show maps before and after the activation function, or swap the function for others."""
    from jaxviz.figures import activation_maps, swapped_activations
    from jaxviz.figures.style import check_output

    path = check_output(output)
    look = {"theme": given["theme"], "title": given["title"]}
    network = _network(model, given)
    pictures, chosen = _pictures(network, images, given), _chosen(given)
    if swap:
        layers = chosen.pop("layers")
        if len(layers) > 1:
            raise click.UsageError("--swap takes one --layers")
        chosen["layer"] = layers[0] if layers else None
        labels = _read_labels(given)
        figure = swapped_activations(network, pictures, **chosen, labels=labels, **look)
    else:
        if given["labels"]:
            raise click.UsageError("--labels goes with --swap")
        figure = activation_maps(network, pictures, **chosen, **look)
    _save(figure, path, given["dpi"])
    click.echo(str(path))


@click.command()
@click.argument("model", required=False)
@click.argument("images", nargs=-1)
@_output
@_which
@click.option("--example", is_flag=True, help="Small numbers, by hand: no MODEL and no IMAGES.")
@click.option("--values", metavar="GRID", help='Of the example: rows such as "1 2; 3 4".')
@click.option("--window", type=click.IntRange(min=1), help="Of the example.")
@click.option("--stride", type=click.IntRange(min=1), help="Of the example.")
@_look
@_seen
def pooling(
    model: str | None,
    images: tuple[str, ...],
    output: str,
    example: bool,
    values: str | None,
    window: int | None,
    stride: int | None,
    **given: Any,
) -> None:
    """Show maps before and after pooling, maximum against average; or an example by hand."""
    from jaxviz.figures import pooling_example, pooling_maps
    from jaxviz.figures.convolution import parse_grid
    from jaxviz.figures.style import check_output

    path = check_output(output)
    if example:
        if model:
            raise click.UsageError("--example takes no MODEL")
        grid = parse_grid(values) if values else None
        figure = pooling_example(grid, window=window or 2, stride=stride, theme=given["theme"])
    else:
        if not (model and images):
            raise click.UsageError("Missing MODEL and IMAGES (or --example)")
        if values or window or stride:
            raise click.UsageError("--values, --window and --stride go with --example")
        network = _network(model, given)
        pictures = _pictures(network, images, given)
        look = {"theme": given["theme"], "title": given["title"]}
        figure = pooling_maps(network, pictures, **_chosen(given), **look)
    _save(figure, path, given["dpi"])
    click.echo(str(path))


@click.command()
@click.argument("model")
@_output
@click.option(
    "--layers", "layers_", multiple=True, metavar="GLOB", help="Convolutions; may be repeated."
)
@click.option("--before", metavar="MODEL", help="The same network before training, beside it.")
@click.option(
    "--view",
    type=click.Choice(("auto", "channels", "norms")),
    default="auto",
    show_default=True,
    help="Colour or maps as it fits; a map per input channel; or the length of each kernel.",
)
@click.option(
    "--normalise",
    type=click.Choice(("symmetric", "layer", "filter")),
    default="symmetric",
    show_default=True,
    help="Colours even about zero or from least to most, per layer; or even, per filter.",
)
@weights_option
@_look
def weights(model: str, output: str, before: str | None, **given: Any) -> None:
    """Show the filters' weights, and what training made of them."""
    from jaxviz.api import load
    from jaxviz.figures import filter_weights
    from jaxviz.figures.style import check_output

    path = check_output(output)
    figure = filter_weights(
        _network(model, given),
        layers=given["layers_"],
        before=load(before) if before else None,
        view=given["view"],
        normalise=given["normalise"],
        theme=given["theme"],
        title=given["title"],
    )
    _save(figure, path, given["dpi"])
    click.echo(str(path))


@click.command()
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="One step (.png, .svg, .pdf), or all of them as an animation (.gif).",
)
@click.option("--image", metavar="GRID", help='Rows such as "0 0 9; 0 9 0; 9 0 0".')
@click.option("--kernel", metavar="GRID|NAME", help="Rows, or vertical-edge, outline, sharpen, …")
@click.option(
    "--stride", type=click.IntRange(min=1), default=1, help="Cells from window to window."
)
@click.option(
    "--padding", type=click.Choice(("valid", "same")), default="valid", help="A border of zeros?"
)
@click.option("--dilation", type=click.IntRange(min=1), default=1, help="2 reads every other cell.")
@click.option("--step", type=click.IntRange(min=0), help="The output cell that is explained.")
@click.option(
    "--seconds", type=click.FloatRange(min=0.05), default=0.7, help="Each step of the animation."
)
@click.option(
    "--theme", type=click.Choice(("light", "dark")), default="light", help="For print or slides."
)
@click.option("--dpi", type=click.IntRange(min=20, max=600), help="Pixels per inch.")
def convolution(
    output: str,
    image: str | None,
    kernel: str | None,
    step: int | None,
    seconds: float,
    dpi: int | None,
    **settings: Any,
) -> None:
    """Work a convolution out by hand: window, products, sum, output."""
    from jaxviz.figures import convolution_animation, convolution_example
    from jaxviz.figures.convolution import parse_grid
    from jaxviz.figures.style import FORMATS, check_output

    path = check_output(output, (*FORMATS, ".gif"))
    grids = [parse_grid(text) if text else None for text in (image, kernel)]
    if path.suffix.lower() == ".gif":
        if step is not None:
            raise click.UsageError("--step goes with a figure; a .gif shows every step")
        convolution_animation(path, *grids, **settings, seconds=seconds, dpi=dpi or 100)
    else:
        _save(convolution_example(*grids, **settings, step=step), path, dpi or 150)
    click.echo(str(path))


COMMANDS = (maps, activations, pooling, weights, convolution)


def _network(model: str, given: dict[str, Any]) -> Model:
    from jaxviz.bundle.load import load_bundle
    from jaxviz.model import Model

    return Model(load_bundle(model, weights=given["weights"]))


def _preparation(given: dict[str, Any]) -> dict[str, Any]:
    """What is to be done to images, as `read_images` takes it."""
    from jaxviz.imaging.ranges import parse_range, preprocess_range

    if given["range_"] and given["preprocess"]:
        raise click.UsageError("give either --range or --preprocess, not both")
    range_ = parse_range(given["range_"]) if given["range_"] else None
    if given["preprocess"]:
        range_ = preprocess_range(given["preprocess"])
    return {"range_": range_, "size": (given["size"],) * 2 if given["size"] else None}


def _pictures(network: Model, images: tuple[str, ...], given: dict[str, Any]) -> Images:
    """The images as the network takes them; what was done to them goes to stderr."""
    from jaxviz.imaging.files import read_images

    pictures = read_images(images, network.spec, **_preparation(given))
    for note in pictures.notes:
        click.echo(note, err=True)
    return pictures


def _write_arrays(
    network: Model, images: tuple[str, ...], path: Path, given: dict[str, Any]
) -> dict[str, Any]:
    from jaxviz._util.filenames import encode
    from jaxviz.figures.capture import map_layers, save_arrays
    from jaxviz.spec.select import match_layers

    spec, patterns = network.spec, given["layers_"]
    layers = match_layers(spec, patterns) if patterns else map_layers(spec, most=len(spec.nodes))
    save_arrays(network, images, layers, path, **_preparation(given))
    return {"images": len(images), "layers": {encode(name): name for name in layers}}


def _chosen(given: dict[str, Any]) -> dict[str, Any]:
    """Which layers and channels, as the functions of `jaxviz.figures` take them."""
    chosen = {"layers": given["layers_"], "channels": _channels(given)}
    return chosen | ({"maps": given["maps"]} if given["maps"] else {})


def _channels(given: dict[str, Any]) -> Any:
    by_layer: dict[str, list[int]] = {}
    everywhere: list[int] = []
    for text in given["channels"]:
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
        raise click.UsageError("--channels goes either for all layers or by layer")
    return by_layer or everywhere or given["select"]


def _read_labels(given: dict[str, Any]) -> tuple[str, ...] | None:
    from jaxviz.figures.classes import read_labels

    return read_labels(given["labels"]) if given["labels"] else None


def _save(figure: Figure, path: Path, dpi: float) -> None:
    from jaxviz.figures.style import save

    save(figure, path, dpi=dpi)


def _conclusions(
    network: Model, pictures: Images, labels: tuple[str, ...] | None
) -> list[dict[str, Any]]:
    from jaxviz.figures.capture import capture

    names = labels or network.spec.labels
    rows = []
    for name, values in zip(
        pictures.names, capture(network, pictures.inputs, ()).output, strict=True
    ):
        row: dict[str, Any] = {"image": printable(name)}
        if values.ndim == 1:
            best = int(values.argmax())
            row |= {"output": [float(v) for v in values], "predicted": best}
            row |= {"label": names[best]} if names else {}
        rows.append(row)
    return rows
