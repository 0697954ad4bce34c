"""`jaxviz objectives`: the objectives and their fields."""

from __future__ import annotations

import click


@click.command()
def objectives() -> None:
    """List the objectives: what `--objective` and `objective = …` in a recipe may say."""
    from jaxviz.objectives.text import objective_table

    click.echo(objective_table())
