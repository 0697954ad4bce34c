"""`jaxviz convert`: a model file becomes a bundle."""

from __future__ import annotations

from pathlib import Path

import click

from jaxviz._util.text import printable
from jaxviz.cli.options import range_options, weights_option


@click.command()
@click.argument("model")
@click.option("-o", "--output", metavar="BUNDLE", help="Default: MODEL's name with .bundle.")
@weights_option
@click.option("--until", metavar="LAYER", help="Convert only the layers that this layer needs.")
@range_options
@click.option(
    "--verify", is_flag=True, help="Compare every layer with Keras, and record its activations."
)
@click.option("--trust", is_flag=True, help="Allow a SavedModel, which can execute code.")
def convert(
    model: str,
    output: str | None,
    weights: str | None,
    until: str | None,
    range_: str | None,
    preprocess: str | None,
    verify: bool,
    trust: bool,
) -> None:
    """Convert a Keras model file into a bundle, without executing anything in it.

    MODEL may also be module:function. The function is your own; it is called and returns a model.
    """
    from jaxviz.bundle import store as bundles
    from jaxviz.bundle.load import load_bundle, load_function, verifier
    from jaxviz.errors import ConversionError
    from jaxviz.imaging.ranges import chosen_range

    target = Path(output or f"{Path(model).stem.partition(':')[0]}.bundle")
    chosen = chosen_range(range_, preprocess)
    if ":" in model and not Path(model).exists():
        bundle = load_function(model, until=until)
    else:
        bundle = load_bundle(model, weights=weights, until=until, trust=trust)
    if chosen is not None:
        bundle = bundle.with_spec(range=chosen)
    if verify:
        report = verifier().verify(bundle, model, weights=weights)
        click.echo(printable(str(report)), err=True)
        if not report.passed:
            raise ConversionError(
                f"{model!r} computes other activations than Keras; see the layers listed above"
            )
        bundle = report.with_probes(bundle)
    bundles.save(bundle, target)
    click.echo(str(target))
