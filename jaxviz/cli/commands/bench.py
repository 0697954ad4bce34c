"""`jaxviz bench`: how fast this device makes pictures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jaxviz._util.text import printable
from jaxviz.cli.options import range_options, weights_option
from jaxviz.errors import ConfigError, nearest

if TYPE_CHECKING:
    from jaxviz.bench.document import BenchResult
    from jaxviz.bundle import Bundle

_DTYPES = ("float32", "bfloat16")
# By default this many layers, spread over the network, so that an answer comes soon.
_LAYERS = 5


@click.command()
@click.argument("model", required=False)
@weights_option
@click.option(
    "--layers",
    "layers_",
    multiple=True,
    metavar="GLOB",
    help=f"Layers by name; may be repeated. Default: {_LAYERS} convolutions spread over MODEL.",
)
@click.option("--preset", metavar="NAME", help="How a picture is made; see `jaxviz presets`.")
@click.option("--size", type=click.IntRange(min=1), help="Side of the image in pixels.")
@click.option(
    "--chunks",
    default="auto",
    show_default=True,
    metavar="N,N,…",
    help="Filters computed at once; auto is the choice of `jaxviz atlas`.",
)
@click.option(
    "--dtypes", default="float32", show_default=True, metavar="NAME,…", help=", ".join(_DTYPES)
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=15.0,
    show_default=True,
    help="Time for all measurements together, compiling not included.",
)
@range_options
@click.option(
    "--json", "json_", metavar="FILE", help="Write the result to a file; - is standard output."
)
@click.option("--plot", metavar="FILE", help="Draw the result; ends in .png, .svg or .pdf.")
@click.option(
    "--compare",
    nargs=2,
    metavar="A.json B.json",
    help="Compare two results instead of measuring.",
)
def bench(
    model: str | None, compare: tuple[str, str] | None, json_: str | None, plot: str | None,
    **options: Any,
) -> None:  # fmt: skip
    """Measure this device's filter-steps per second, layer by layer.

    A filter-step is one update of one filter's picture. Compiling is timed apart, and filters
    without a gradient do not count. Fractions are relative to the device's rates in a large
    matrix product and in moving memory, which are measured first.
    """
    if compare:
        if model is not None:
            raise click.UsageError("--compare takes two results and no MODEL")
        _compare(*compare, json_=json_)
        return
    if model is None:
        raise click.UsageError("Missing argument 'MODEL' (or --compare A.json B.json)")
    for name in (json_, plot):
        if name not in (None, "-") and not Path(str(name)).absolute().parent.is_dir():
            raise ConfigError(f"cannot write {name!r}: there is no such folder")
    if plot is not None and Path(plot).suffix not in (".png", ".svg", ".pdf"):
        raise click.UsageError(f"--plot: {plot!r} does not end in .png, .svg or .pdf")
    result = _measure(model, **options)
    _show(result, json_=json_, plot=plot)


def _measure(model: str, **options: Any) -> BenchResult:
    from rich.console import Console

    from jaxviz.bench.measure import Settings
    from jaxviz.bench.measure import bench as measure_all
    from jaxviz.bundle.load import load_bundle
    from jaxviz.imaging.ranges import chosen_range
    from jaxviz.presets import DEFAULT_PRESET, get_preset

    chunks, dtypes = _chunks(options["chunks"]), _dtypes(options["dtypes"])
    preset = get_preset(options["preset"] or DEFAULT_PRESET)
    chosen = chosen_range(options["range_"], options["preprocess"])
    bundle = load_bundle(model, weights=options["weights"])
    if chosen is not None:
        bundle = bundle.with_spec(range=chosen)
    layers = _layers(bundle, options["layers_"])
    settings = Settings(preset, options["size"], chunks, dtypes, options["seconds"])
    console = Console(stderr=True)
    with console.status("measuring what the device can do") as status:
        total, done = len(layers) * len(chunks) * len(dtypes), 0

        def count(_: object) -> None:
            nonlocal done
            done += 1
            status.update(f"{done} of {total} measured")

        return measure_all(bundle, layers, settings, count)


def _show(result: BenchResult, *, json_: str | None, plot: str | None) -> None:
    from jaxviz.bench import show

    document = result.model_dump_json(indent=1)
    if json_ == "-":
        click.echo(document)
    else:
        click.echo(printable(show.result_text(result)))
    if json_ not in (None, "-"):
        try:
            Path(str(json_)).write_text(document + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write {json_!r}: {error.strerror}") from error
    if plot is not None:
        show.plot(result, Path(plot))


def _compare(first: str, second: str, *, json_: str | None) -> None:
    from jaxviz.bench import show
    from jaxviz.bench.document import read_result

    a, b = read_result(first), read_result(second)
    if json_ is None:
        click.echo(printable(show.comparison_text(a, b)))
        return
    document = json.dumps(show.comparison_document(a, b), indent=1)
    if json_ == "-":
        click.echo(document)
    else:
        Path(json_).write_text(document + "\n", encoding="utf-8")


def _layers(bundle: Bundle, patterns: tuple[str, ...]) -> tuple[str, ...]:
    from jaxviz.spec.select import match_layers

    layers = match_layers(bundle.spec, patterns)
    if patterns or len(layers) <= _LAYERS:
        return layers
    last = len(layers) - 1
    return tuple(layers[round(n * last / (_LAYERS - 1))] for n in range(_LAYERS))


def _chunks(text: str) -> tuple[int | None, ...]:
    parts = [part.strip() for part in text.split(",")]
    if bad := [part for part in parts if part != "auto" and not re.fullmatch("[1-9][0-9]*", part)]:
        raise click.UsageError(f"--chunks: {bad[0]!r} is neither a number above 0 nor auto")
    return tuple(dict.fromkeys(None if part == "auto" else int(part) for part in parts))


def _dtypes(text: str) -> tuple[Any, ...]:
    parts = [part.strip() for part in text.split(",")]
    if bad := [part for part in parts if part not in _DTYPES]:
        hint = nearest(bad[0], _DTYPES) or f"There are {', '.join(_DTYPES)}."
        raise click.UsageError(f"--dtypes: there is no dtype {bad[0]!r}. {hint}")
    return tuple(dict.fromkeys(parts))
