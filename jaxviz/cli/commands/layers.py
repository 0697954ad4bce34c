"""`jaxviz layers`: the layers of a model as a table."""

from __future__ import annotations

import json

import click

from jaxviz._util.text import printable
from jaxviz.cli.options import weights_option


@click.command()
@click.argument("model")
@weights_option
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")
def layers(model: str, weights: str | None, as_json: bool) -> None:
    """List a model's layers: operation, output shape, channels, parameters, receptive field."""
    from jaxviz.bundle.listing import layer_rows, layer_table
    from jaxviz.bundle.load import load_bundle

    bundle = load_bundle(model, weights=weights)
    if as_json:
        click.echo(json.dumps(layer_rows(bundle), indent=1))
    else:
        click.echo(printable(layer_table(bundle)))
