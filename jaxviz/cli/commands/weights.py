"""`jaxviz weights`: the filters' weights."""

from __future__ import annotations

from typing import Any

import click

from jaxviz.cli.drawing import (
    finish,
    look,
    look_options,
    open_model,
    output_option,
)
from jaxviz.cli.options import weights_option


@click.command()
@click.argument("model")
@output_option
@click.option(
    "--layers", "layers_", multiple=True, metavar="GLOB", help="Convolutions; may be repeated."
)
@click.option("--before", metavar="MODEL", help="The network before training, drawn beside it.")
@click.option(
    "--view",
    type=click.Choice(("auto", "channels", "norms")),
    default="auto",
    show_default=True,
    help="Colour where filters have three channels; a map for each input channel; or lengths.",
)
@click.option(
    "--normalise",
    type=click.Choice(("symmetric", "layer", "filter")),
    default="symmetric",
    show_default=True,
    help="Colour scale: ± the layer's largest weight, its range, or ± each filter's largest.",
)
@weights_option
@look_options
def weights(model: str, output: str, before: str | None, **given: Any) -> None:
    """Draw the filters' weights, and how training changed them."""
    from jaxviz.api import load
    from jaxviz.figures import filter_weights
    from jaxviz.figures.style import check_output

    path = check_output(output)
    figure = filter_weights(
        open_model(model, given["weights"]),
        layers=given["layers_"],
        before=load(before) if before else None,
        view=given["view"],
        normalise=given["normalise"],
        **look(given),
    )
    finish(figure, path, given["dpi"])
