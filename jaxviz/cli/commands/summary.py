"""`jaxviz summary`: an atlas as a table, one line a layer."""

from __future__ import annotations

import json

import click

from jaxviz._util.text import printable


@click.command()
@click.argument("atlas")
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")
def summary(atlas: str, as_json: bool) -> None:
    """Summarise an atlas: each layer's filters by status, and medians of their measures.

    Measures are of the final pictures: the score; the gain over the start; the share of reference
    images that excite the filter less (quantile); the share of the layer's other filters that the
    picture excites less (selectivity); the share of the score that small shifts leave
    (robustness); and the similarity of a filter's pictures (agreement).
    """
    from jaxviz.atlas import open_atlas
    from jaxviz.atlas.summary import summary_rows, summary_table

    entries = open_atlas(atlas).manifest.layers
    if as_json:
        click.echo(json.dumps(summary_rows(entries), indent=1))
    else:
        click.echo(printable(summary_table(entries)))
