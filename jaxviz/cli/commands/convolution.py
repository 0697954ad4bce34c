"""`jaxviz convolution`: a convolution worked by hand."""

from __future__ import annotations

from typing import Any

import click

from jaxviz.cli.drawing import (
    finish,
)


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
    "--stride", type=click.IntRange(min=1), default=1, help="Cells from one window to the next."
)
@click.option(
    "--padding",
    type=click.Choice(("valid", "same")),
    default="valid",
    help="same adds a border of zeros.",
)
@click.option(
    "--dilation", type=click.IntRange(min=1), default=1, help="2 reads every second cell."
)
@click.option(
    "--step", type=click.IntRange(min=0), help="Number of the output cell that is explained."
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.05),
    default=0.7,
    help="Duration of each step of the animation.",
)
@click.option(
    "--theme",
    type=click.Choice(("light", "dark")),
    default="light",
    help="Colours for print or for dark slides.",
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
    """Draw a convolution by hand: window, products, sum, output."""
    from jaxviz.figures import convolution_animation, convolution_example
    from jaxviz.figures.convolve import parse_grid
    from jaxviz.figures.style import FORMATS, check_output

    path = check_output(output, (*FORMATS, ".gif"))
    grids = [parse_grid(text) if text else None for text in (image, kernel)]
    if path.suffix.lower() == ".gif":
        if step is not None:
            raise click.UsageError("--step is for a figure; a .gif shows every step")
        convolution_animation(path, *grids, **settings, seconds=seconds, dpi=dpi or 100)
        click.echo(str(path))
    else:
        finish(convolution_example(*grids, **settings, step=step), path, dpi or 150)
