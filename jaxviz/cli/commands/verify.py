"""`jaxviz verify`: a bundle's numbers against those recorded in it."""

from __future__ import annotations

import click

from jaxviz._util.text import printable


@click.command()
@click.argument("bundle")
def verify(bundle: str) -> None:
    """Compare a bundle with the activations recorded in it; needs no Keras."""
    from jaxviz.bundle import store as bundles
    from jaxviz.bundle.load import verifier

    report = verifier().check_probes(bundles.load(bundle))
    click.echo(printable(str(report)))
    if not report.passed:
        raise click.exceptions.Exit(1)
