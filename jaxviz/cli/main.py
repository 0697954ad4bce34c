"""The command line: parse, call, and turn errors into exit statuses.

0 done (dead units are a finding, not a failure) · 1 an error that the message explains ·
2 wrong usage · 3 finished, but some units failed · 130 interrupted.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

import click

from jaxviz._util.text import printable
from jaxviz._util.version import __version__
from jaxviz.cli.bench import bench
from jaxviz.cli.figures import COMMANDS
from jaxviz.cli.options import atlas_recipe, range_options, recipe_options, weights_option
from jaxviz.cli.plan import plan as plan_command
from jaxviz.errors import JaxvizError
from jaxviz.runtime import interrupt

FAILED_UNITS = 3
INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="jaxviz")
def cli() -> None:
    """Filter atlases of trained Keras CNNs: what every filter of every layer looks for."""


for _command in (*COMMANDS, bench, plan_command):
    cli.add_command(_command)


def main() -> None:
    """Run the command line and exit."""
    interrupt.listen()
    # what is imported and traced stays: looking through it for garbage took 4 % of a small atlas
    gc.set_threshold(50_000, 20, 20)
    try:
        status = cli(standalone_mode=False)
    except JaxvizError as error:
        click.echo(f"error: {printable(str(error))}", err=True)
        status = 1
    except click.exceptions.Abort:
        status = INTERRUPTED
    except KeyboardInterrupt:
        status = INTERRUPTED
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except BrokenPipeError:
        status = 1
    gc.freeze()  # nor at the end, which took another 3 %
    sys.exit(status or 0)


@cli.command()
@click.argument("model")
@click.option("-o", "--output", metavar="BUNDLE", help="Default: MODEL's name with .bundle.")
@weights_option
@click.option("--until", metavar="LAYER", help="Convert only what this layer needs.")
@range_options
@click.option("--verify", is_flag=True, help="Compare every layer with Keras, and keep probes.")
@click.option("--trust", is_flag=True, help="Allow a SavedModel, which can run what is in it.")
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
    """Convert a Keras model file into a bundle, without running anything in it.

    MODEL may also be module:function: your own code, which is run and returns a live model.
    """
    from jaxviz.bundle import store as bundles
    from jaxviz.bundle.load import load_bundle, load_function, verifier
    from jaxviz.errors import ConversionError
    from jaxviz.jobs.recipe import AtlasRecipe

    target = Path(output or f"{Path(model).stem.partition(':')[0]}.bundle")
    settings = AtlasRecipe(model=model, output=str(target), range=range_, preprocess=preprocess)
    if ":" in model and not Path(model).exists():
        bundle = load_function(model, until=until)
    else:
        bundle = load_bundle(model, weights=weights, until=until, trust=trust)
    bundle = bundle.with_spec(range=settings.range_used(bundle.spec))
    if verify:
        report = verifier().verify(bundle, model, weights=weights)
        click.echo(printable(str(report)), err=True)
        if not report.passed:
            raise ConversionError(f"the numbers of {model!r} are not those of Keras; see above")
        bundle = report.with_probes(bundle)
    bundles.save(bundle, target)
    click.echo(str(target))


@cli.command()
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


@cli.command()
@click.argument("bundle")
def verify(bundle: str) -> None:
    """Check a bundle against the activations recorded in it; needs no Keras."""
    from jaxviz.bundle import store as bundles
    from jaxviz.bundle.load import verifier

    report = verifier().check_probes(bundles.load(bundle))
    click.echo(printable(str(report)))
    if not report.passed:
        raise click.exceptions.Exit(1)


@cli.command()
@click.argument("model")
@click.option("-o", "--output", metavar="ATLAS", help="Default: MODEL's name with .atlas.")
@weights_option
@recipe_options
@click.option("--json", "as_json", is_flag=True, help="A JSON line for every finished layer.")
def atlas(model: str, output: str | None, as_json: bool, **settings: Any) -> None:
    """Make the picture that excites each filter most, for every filter of every layer.

    Run the same command again to continue an atlas that was interrupted.
    """
    _make([atlas_recipe(model, output, settings)], as_json=as_json)


@cli.command()
@click.argument("recipe", metavar="RECIPE.toml")
@click.option("--dry-run", is_flag=True, help="Check everything and say what would be made.")
@click.option("--json", "as_json", is_flag=True, help="A JSON line for every finished layer.")
def run(recipe: str, dry_run: bool, as_json: bool) -> None:
    """Make the atlases that a recipe file describes, one after the other."""
    from jaxviz.jobs.recipe import read_recipes

    recipes = read_recipes(recipe)
    if dry_run:
        _describe(recipes, as_json=as_json)
    else:
        _make(recipes, as_json=as_json)


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Every field as JSON.")
def presets(names: tuple[str, ...], as_json: bool) -> None:
    """List the presets: what each is, and where its numbers come from.

    With NAMEs every field of those presets, each as `--set` takes it.
    """
    from jaxviz.presets import DEFAULT_PRESET, PRESETS, get_preset

    chosen = [get_preset(name) for name in names] or list(PRESETS.values())
    if as_json:
        click.echo(json.dumps([p.model_dump(mode="json") for p in chosen], indent=1))
        return
    for preset in chosen:
        mark = " (default)" if preset.name == DEFAULT_PRESET else ""
        click.echo(f"{preset.name}{mark}: {preset.about}\n    {preset.source}")
        if names:
            click.echo(preset.fields_text())


@cli.command()
@click.argument("atlas")
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")
def summary(atlas: str, as_json: bool) -> None:
    """What became of each layer of an atlas: filters by status, and what their pictures are worth.

    Every number is of the clean final pictures: the score, the gain over the start, the share of
    reference images that excite the filter less (quantile), the share of the layer's other
    filters that the picture excites less (selectivity), what small shifts leave of it
    (robustness), and how alike several pictures of a filter are (agreement).
    """
    from jaxviz.atlas import open_atlas
    from jaxviz.atlas.summary import summary_rows, summary_table

    entries = open_atlas(atlas).manifest.layers
    if as_json:
        click.echo(json.dumps(summary_rows(entries), indent=1))
    else:
        click.echo(printable(summary_table(entries)))


@cli.command()
def objectives() -> None:
    """List the objectives: what `--objective` and `objective = …` in a recipe may say."""
    from jaxviz.objectives.text import objective_table

    click.echo(objective_table())


def _describe(recipes: Any, *, as_json: bool) -> None:
    from jaxviz.jobs.run import prepare

    for recipe in recipes:
        job = prepare(recipe)
        pairs = list(zip(job.plans, job.renderers, strict=True))
        if as_json:
            rows = [
                {"layer": plan.name, "units": len(plan.channels), "size": list(renderer.shape)}
                for plan, renderer in pairs
            ]
            click.echo(json.dumps({"atlas": recipe.output, "layers": rows}))
            continue
        total = sum(len(plan.channels) for plan in job.plans)
        presets = " and ".join(preset.name for preset in recipe.presets_used())
        click.echo(f"{recipe.output}: {total} pictures of {len(pairs)} layers, {presets}")
        for plan, renderer in pairs:
            size = "×".join(map(str, renderer.shape))
            click.echo(printable(f"  {plan.name}  {len(plan.channels)} filters at {size}"))


def _make(recipes: Any, *, as_json: bool) -> None:
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
                f"interrupted: what is finished is kept in {recipe.output}; "
                "run the same command again to continue",
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
