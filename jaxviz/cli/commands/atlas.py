"""`jaxviz atlas`: one atlas, described by options."""

from __future__ import annotations

from typing import Any

import click

from jaxviz.cli.making import make_atlases
from jaxviz.cli.options import atlas_recipe, recipe_options, weights_option


@click.command()
@click.argument("model")
@click.option("-o", "--output", metavar="ATLAS", help="Default: MODEL's name with .atlas.")
@weights_option
@recipe_options
@click.option("--json", "as_json", is_flag=True, help="A JSON line for every finished layer.")
def atlas(model: str, output: str | None, as_json: bool, **settings: Any) -> None:
    """Make an atlas: for every filter of every layer the picture that excites it most.

    Run the same command again to continue an atlas that was interrupted.
    """
    make_atlases([atlas_recipe(model, output, settings)], as_json=as_json)
