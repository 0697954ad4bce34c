"""`jaxviz objectives`: the objectives and their fields."""

from __future__ import annotations

import click


@click.command()
def objectives() -> None:
    """List the objectives, for `--objective` and for `objective = …` in a recipe."""
    from jaxviz.objectives.text import objective_table

    click.echo(objective_table())
