"""`jaxviz plan`: the cost of an atlas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jaxviz._util.text import printable, table_lines
from jaxviz.cli.options import atlas_recipe, recipe_options, weights_option

if TYPE_CHECKING:
    from jaxviz.jobs.estimate import LayerCost, Plan


@click.command()
@click.argument("model")
@click.option(
    "--target",
    metavar="NAME",
    help="Devices that this machine need not have: v5e, v5e:2x2, v5p, v6e:4x4, h100, h100:8.",
)
@click.option(
    "--efficiency",
    type=click.FloatRange(min=0, max=1, min_open=True),
    help="With --target: share of the chip's speed that is reached. Default: 0.5, a guess.",
)
@click.option(
    "--budget",
    type=click.FloatRange(min=0),
    help="Without --target: seconds to spend on timing. Default: 60.",
)
@weights_option
@recipe_options
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def plan(
    model: str,
    target: str | None,
    efficiency: float | None,
    budget: float | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Estimate the cost of an atlas, per layer and in total, before it is made.

    On this machine's devices a few steps are timed. With --target steps are compiled for other
    devices, and their time is estimated from the chip's speed and bandwidth.
    """
    from jaxviz.jobs.estimate import BUDGET, EFFICIENCY, plan_atlas

    found = plan_atlas(
        atlas_recipe(model, None, settings),
        target,
        efficiency=EFFICIENCY if efficiency is None else efficiency,
        budget=BUDGET if budget is None else budget,
    )
    if as_json:
        click.echo(found.model_dump_json(indent=1))
    else:
        click.echo(printable(plan_table(found)))


def plan_table(plan: Plan) -> str:
    """A plan as a table, with the totals below."""
    head = ("layer", "pictures", "size", "chunk", "memory", "MFLOP", "MB moved", "ms", "time")
    lines = [head, *map(_row, plan.layers)]
    text = table_lines(lines)
    pictures = sum(layer.pictures for layer in plan.layers)
    dtypes = " and ".join(dict.fromkeys(layer.dtype for layer in plan.layers))
    many = f"{plan.devices} × {plan.target}" if plan.devices > 1 else plan.target
    text.append(
        f"{pictures:,} pictures on {many} in {dtypes}: {_duration(plan.hours)} of a device"
        + (f", {_duration(plan.hours / plan.devices)} by the clock" if plan.devices > 1 else "")
        + f", about {plan.disk / 1e6:,.0f} MB on disk"
    )
    measured = sum(layer.basis == "measured" for layer in plan.layers)
    if plan.efficiency is None:
        text.append(
            f"ms per picture and step: timed for {measured} of {len(plan.layers)} layers"
            + (", * by the most similar of them" if measured < len(plan.layers) else "")
        )
    else:
        text.append(
            "ms per picture and step: by the compiler's count, at "
            f"{plan.efficiency:.0%} of the chip's speed or bandwidth"
        )
    return "\n".join(text)


def _row(layer: LayerCost) -> tuple[str, ...]:
    return (
        layer.layer,
        str(layer.pictures),
        "×".join(map(str, layer.size)),
        str(layer.chunk),
        f"{layer.memory / 1e6:,.0f} MB",
        f"{layer.flops / 1e6:,.1f}",
        "" if layer.bytes is None else f"{layer.bytes / 1e6:,.2f}",
        f"{1e3 * layer.seconds:,.3f}{'*' if layer.basis == 'estimated' else ''}",
        _duration(layer.hours),
    )


def _duration(hours: float) -> str:
    """A duration in hours, minutes or seconds.

    Example:
        >>> _duration(0.001), _duration(0.5), _duration(48)
        ('3.6 s', '30.0 min', '48.0 h')
    """
    if hours >= 1:
        return f"{hours:,.1f} h"
    return f"{60 * hours:.1f} min" if hours >= 1 / 60 else f"{3600 * hours:.1f} s"
