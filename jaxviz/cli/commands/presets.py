"""`jaxviz presets`: the presets and their fields."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Every field as JSON.")
def presets(names: tuple[str, ...], as_json: bool) -> None:
    """List the presets: what each makes, and the source of its numbers.

    With NAMEs, list every field of those presets in the form that `--set` takes.
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
