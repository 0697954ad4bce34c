"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from jaxviz.jobs.recipe import AtlasRecipe


#: A command, or the function that click makes one of.
Command = Callable[..., object] | click.Command
#: Decorator that adds an option.
Option = Callable[[Command], Command]
#: Values of a command's options by name.
Given = Mapping[str, Any]


def options(*chosen: Option) -> Option:
    """One decorator for several options, which the help lists in this order."""

    def apply(function: Command) -> Command:
        for option in reversed(chosen):
            function = option(function)
        return function

    return apply


range_options = options(
    click.option(
        "--range",
        "range_",
        metavar="LO:HI",
        help="Values of black and white that the network was trained on.",
    ),
    click.option(
        "--preprocess",
        metavar="NAME",
        help="The range by a keras.applications mode: tf, torch, caffe, raw.",
    ),
)
weights_option = click.option(
    "--weights",
    metavar="FILE",
    help="File of weights, for a MODEL that holds only the architecture.",
)
#: The settings of an atlas; `atlas_recipe` makes a recipe of them.
recipe_options = options(
    click.option(
        "--layers",
        "layers_",
        multiple=True,
        metavar="GLOB",
        help="Layers by name; may be repeated. Default: every convolution.",
    ),
    click.option("--channels", metavar="A:B", help="Only these channels of each layer."),
    click.option(
        "--preset",
        multiple=True,
        metavar="NAME",
        help="How a picture is made; see `jaxviz presets`. Several presets stand side by side.",
    ),
    click.option(
        "--set",
        "set_",
        multiple=True,
        metavar="FIELD=VALUE",
        help="Change a field of the preset, such as transforms.0.amount=8.",
    ),
    click.option(
        "--objective",
        metavar="TEXT",
        help="What is maximised, such as 'neuron(4, 7)', '-channel', "
        "'channel - 0.1*total_variation' or 'direction(\"probe.npy\")'; see `jaxviz objectives`.",
    ),
    click.option("--position", metavar="Y,X", help="The objective neuron(Y, X)."),
    click.option("--direction", metavar="FILE.npy", help='The objective direction("FILE.npy").'),
    click.option("--replicates", type=click.IntRange(min=1), help="Pictures of each filter."),
    click.option("--size", type=click.IntRange(min=1), help="Side of the image in pixels."),
    click.option("--steps", type=click.IntRange(min=1), help="Updates of each picture."),
    click.option("--optimizer", metavar="NAME[:KEY=VALUE,…]", help="Any optimizer of Optax."),
    click.option(
        "--learning-rate", type=float, help="The optimizer's step, in the preset's units."
    ),
    click.option("--schedule", metavar="NAME:KEY=VALUE,…", help="Any schedule of Optax."),
    click.option(
        "--clip", metavar="NAME:KEY=VALUE,…", help="Clipping of each picture's gradient by Optax."
    ),
    range_options,
    click.option(
        "--seed", type=click.IntRange(min=0), help="Seed of starting images and transforms."
    ),
    click.option("--chunk", type=click.IntRange(min=1), help="Filters computed at once."),
    click.option(
        "--dtype",
        type=click.Choice(["auto", "float32", "bfloat16"]),
        help="Type of the network's numbers. Default: bfloat16 on accelerators, else float32.",
    ),
    click.option(
        "--attempts",
        type=click.IntRange(min=1),
        help="Starting images for each picture, of which the best is kept.",
    ),
    click.option(
        "--images",
        metavar="FOLDER",
        help="Images like the training data, for colour statistics and to compare pictures with.",
    ),
)


def atlas_recipe(model: str, output: str | None, settings: Given) -> AtlasRecipe:
    """The recipe that `recipe_options` describe.

    Args:
        model: A bundle or a model file.
        output: The atlas folder; by default the model's name with .atlas.
        settings: The options' values by name.

    Raises:
        click.UsageError: If a value does not fit its option.
    """
    from pydantic import ValidationError

    from jaxviz.jobs.recipe import AtlasRecipe

    settings = {name.rstrip("_"): value for name, value in settings.items()}
    names = settings["preset"]
    settings["preset"] = names if len(names) > 1 else names[0] if names else None
    settings["objective"] = _one_objective(
        settings["objective"], settings.pop("position"), settings.pop("direction")
    )
    given = {name: value for name, value in settings.items() if value is not None}
    try:
        return AtlasRecipe(model=model, output=output or f"{Path(model).stem}.atlas", **given)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][0]).replace("_", "-")
        raise click.UsageError(f"{option}: {first['msg']}, found {first['input']!r}") from error


def _one_objective(text: str | None, position: str | None, direction: str | None) -> str | None:
    given = [
        text,
        position and f"neuron({position})",
        direction and f"direction({direction!r})",
    ]
    chosen = [objective for objective in given if objective]
    if len(chosen) > 1:
        raise click.UsageError("give one of --objective, --position and --direction")
    return chosen[0] if chosen else None
