"""`jaxviz maps`: feature maps of images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jaxviz._util.text import printable
from jaxviz.cli.drawing import (
    channel_options,
    class_names,
    image_options,
    image_settings,
    labels_option,
    look,
    look_options,
    open_images,
    open_model,
    selection,
)
from jaxviz.cli.options import Given

if TYPE_CHECKING:
    from jaxviz.imaging.files import Images
    from jaxviz.model import Model

_ARRAYS = (".npz", ".zarr")


@click.command()
@click.argument("model")
@click.argument("images", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="A figure (.png, .svg, .pdf), or the activations as arrays (.npz, .zarr).",
)
@channel_options
@click.option(
    "--normalise",
    type=click.Choice(("layer", "map")),
    default="layer",
    show_default=True,
    help="One colour scale for all maps of a layer, or one for each map.",
)
@click.option(
    "--colormap", metavar="NAME", help="A colour map of Matplotlib, instead of the theme's."
)
@labels_option
@look_options
@image_options
@click.option("--json", "as_json", is_flag=True, help="Print the network's conclusions as JSON.")
def maps(model: str, images: tuple[str, ...], output: str, as_json: bool, **given: Any) -> None:
    """Draw what each layer sees in images, and what the network concludes.

    IMAGES are image files, which are cut and resized to fit the network, or .npy files
    [height, width, channel] in the network's input units.
    """
    from jaxviz.figures import feature_maps
    from jaxviz.figures.style import FORMATS, check_output, save

    path = check_output(output, (*FORMATS, *_ARRAYS))
    network = open_model(model, given["weights"])
    if path.suffix in _ARRAYS:
        report = _write_arrays(network, images, path, given)
    else:
        pictures, labels = open_images(network, images, given), class_names(given["labels"])
        figure = feature_maps(
            network,
            pictures,
            layers=given["layers_"],
            **selection(given),
            labels=labels,
            normalise=given["normalise"],
            colormap=given["colormap"],
            **look(given),
        )
        save(figure, path, dpi=given["dpi"])
        report = {"images": _conclusions(network, pictures, labels)} if as_json else {}
    click.echo(json.dumps({"file": str(path), **report}) if as_json else str(path))


def _write_arrays(
    network: Model, images: tuple[str, ...], path: Path, given: Given
) -> dict[str, object]:
    from jaxviz._util.filenames import encode
    from jaxviz.figures.arrays import save_arrays
    from jaxviz.figures.choose import map_layers
    from jaxviz.spec.select import match_layers

    spec, patterns = network.spec, given["layers_"]
    layers = match_layers(spec, patterns) if patterns else map_layers(spec, most=len(spec.nodes))
    range_, size = image_settings(given)
    save_arrays(network, images, layers, path, range_=range_, size=size)
    return {"images": len(images), "layers": {encode(name): name for name in layers}}


def _conclusions(
    network: Model, pictures: Images, labels: tuple[str, ...] | None
) -> list[dict[str, object]]:
    from jaxviz.figures.capture import capture

    names = labels or network.spec.labels
    rows = []
    for name, values in zip(
        pictures.names, capture(network, pictures.inputs, ()).output, strict=True
    ):
        row: dict[str, object] = {"image": printable(name)}
        if values.ndim == 1:
            best = int(values.argmax())
            row |= {"output": [float(v) for v in values], "predicted": best}
            row |= {"label": names[best]} if names else {}
        rows.append(row)
    return rows
