"""Makes atlases one after the other and prints where they are, for `atlas` and `run`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from jaxviz._util.text import printable

if TYPE_CHECKING:
    from jaxviz.jobs.recipe import AtlasRecipe

#: Exit status of a run that finished, but with pictures that are not finite.
FAILED_UNITS = 3


def make_atlases(recipes: Sequence[AtlasRecipe], *, as_json: bool) -> None:
    """Make or continue atlases, and exit with `FAILED_UNITS` if units failed.

    Standard output gets each atlas's page and sheets, or with `as_json` a line a layer.
    """
    from jaxviz.atlas import open_atlas
    from jaxviz.atlas.summary import summary_table
    from jaxviz.cli.progress import ConsoleReporter
    from jaxviz.jobs.run import make_atlas

    failed = 0
    for recipe in recipes:
        try:
            with ConsoleReporter(json_lines=as_json) as reporter:
                report = make_atlas(recipe, reporter)
        except KeyboardInterrupt:
            click.echo(
                f"interrupted: finished pictures are kept in {recipe.output}; "
                "run the command again to continue",
                err=True,
            )
            raise
        failed += report.failed
        if not as_json:
            click.echo(printable(summary_table(open_atlas(report.path).manifest.layers)), err=True)
            click.echo(str(report.path / "index.html"))
            for sheet in sorted((report.path / "sheets").glob("*.png")):
                click.echo(str(sheet))
    if failed:
        click.echo(f"{failed} units failed: their pictures are not finite", err=True)
        sys.exit(FAILED_UNITS)
