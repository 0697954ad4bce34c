"""`jaxviz activations`: maps before and after activation functions."""

from __future__ import annotations

from typing import Any

import click

from jaxviz.cli.drawing import (
    channel_options,
    class_names,
    finish,
    image_options,
    labels_option,
    look,
    look_options,
    open_images,
    open_model,
    output_option,
    selection,
)


@click.command()
@click.argument("model")
@click.argument("images", nargs=-1, required=True)
@output_option
@channel_options
@click.option(
    "--swap",
    is_flag=True,
    help="Compare other functions in the place of one layer's own, for one image.",
)
@labels_option
@look_options
@image_options
def activations(model: str, images: tuple[str, ...], output: str, swap: bool, **given: Any) -> None:
    """Draw maps before and after the activation function, or swap the function for others."""
    from jaxviz.figures import activation_maps, swapped_activations
    from jaxviz.figures.style import check_output

    path = check_output(output)
    network = open_model(model, given["weights"])
    pictures = open_images(network, images, given)
    layers: tuple[str, ...] = given["layers_"]
    if swap:
        if len(layers) > 1:
            raise click.UsageError("--swap takes one --layers")
        figure = swapped_activations(
            network,
            pictures,
            layer=layers[0] if layers else None,
            labels=class_names(given["labels"]),
            **selection(given),
            **look(given),
        )
    else:
        if given["labels"]:
            raise click.UsageError("--labels needs --swap")
        figure = activation_maps(
            network, pictures, layers=layers, **selection(given), **look(given)
        )
    finish(figure, path, given["dpi"])
