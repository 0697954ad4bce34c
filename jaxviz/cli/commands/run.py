"""`jaxviz run`: the atlases of a recipe file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from jaxviz._util.text import printable
from jaxviz.cli.making import make_atlases

if TYPE_CHECKING:
    from jaxviz.jobs.recipe import AtlasRecipe


@click.command()
@click.argument("recipe", metavar="RECIPE.toml")
@click.option(
    "--dry-run", is_flag=True, help="Check the recipes and list the pictures, without making any."
)
@click.option("--json", "as_json", is_flag=True, help="A JSON line for every finished layer.")
def run(recipe: str, dry_run: bool, as_json: bool) -> None:
    """Make the atlases that a recipe file describes, one after the other."""
    from jaxviz.jobs.recipe import read_recipes

    recipes = read_recipes(recipe)
    if dry_run:
        _describe(recipes, as_json=as_json)
    else:
        make_atlases(recipes, as_json=as_json)


def _describe(recipes: Sequence[AtlasRecipe], *, as_json: bool) -> None:
    from jaxviz.jobs.prepare import prepare

    for recipe in recipes:
        job = prepare(recipe)
        pairs = list(zip(job.plans, job.renderers, strict=True))
        if as_json:
            rows = [
                {
                    "layer": plan.name,
                    "units": len(plan.channels),
                    "size": list(renderer.setup.shape),
                }
                for plan, renderer in pairs
            ]
            click.echo(json.dumps({"atlas": recipe.output, "layers": rows}))
            continue
        total = sum(len(plan.channels) for plan in job.plans)
        presets = " and ".join(preset.name for preset in recipe.presets_used())
        click.echo(f"{recipe.output}: {total} pictures of {len(pairs)} layers, {presets}")
        for plan, renderer in pairs:
            size = "×".join(map(str, renderer.setup.shape))
            click.echo(printable(f"  {plan.name}  {len(plan.channels)} filters at {size}"))
