"""`jaxviz pooling`: maps before and after pooling."""

from __future__ import annotations

from typing import Any

import click

from jaxviz.cli.drawing import (
    channel_options,
    finish,
    image_options,
    look,
    look_options,
    open_images,
    open_model,
    output_option,
    selection,
)


@click.command()
@click.argument("model", required=False)
@click.argument("images", nargs=-1)
@output_option
@channel_options
@click.option("--example", is_flag=True, help="Draw pooling by hand, without MODEL and IMAGES.")
@click.option("--values", metavar="GRID", help='With --example: rows such as "1 2; 3 4".')
@click.option("--window", type=click.IntRange(min=1), help="With --example: side of the window.")
@click.option(
    "--stride",
    type=click.IntRange(min=1),
    help="With --example: cells from one window to the next.",
)
@look_options
@image_options
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
    """Draw maps before and after pooling, maximum beside average; or an example by hand."""
    from jaxviz.figures import pooling_example, pooling_maps
    from jaxviz.figures.convolve import parse_grid
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
            raise click.UsageError("--values, --window and --stride need --example")
        network = open_model(model, given["weights"])
        pictures = open_images(network, images, given)
        figure = pooling_maps(
            network, pictures, layers=given["layers_"], **selection(given), **look(given)
        )
    finish(figure, path, given["dpi"])
