"""Write the pages of the reference that follow from the code.

    python docs/generate.py            write them into docs/reference
    python docs/generate.py --check    name those that are not up to date; exit status 1 if any

The pages are kept under version control, so they can be read without a build.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
from pydantic import BaseModel

from converters.layers.page import page as layers_page
from jaxviz import errors
from jaxviz._util.settings import SETTINGS
from jaxviz.atlas import Manifest, manifest_schema
from jaxviz.cli import cli
from jaxviz.jobs.recipe import AtlasRecipe

REFERENCE = Path(__file__).parent / "reference"
#: Modules whose page lists the names in their `__all__`.
MODULES = ("atlas", "figures", "objectives", "parameterizations", "presets", "transforms")
_RECIPE = """\
[defaults]
preset = "keras-io"
size = 128

[[atlas]]
model = "galaxy_cnn.keras"
output = "galaxy.atlas"
range = "0:1"
layers = ["conv*"]
"""
_NOTE = "<!-- Written by docs/generate.py. Change the code, then run scripts/docs --update. -->"


def pages() -> dict[str, str]:
    """Every generated page: file name below `docs/reference` to its text."""
    return {
        **{f"api/{name}.md": _module(f"jaxviz.{name}") for name in MODULES},
        "cli.md": _command_line(),
        "recipe.md": _recipe(),
        "manifest.md": _manifest(),
        "manifest.schema.json": json.dumps(manifest_schema(), indent=1) + "\n",
        "exceptions.md": _exceptions(),
        "environment.md": _environment(),
        "layers.md": layers_page(),
    }


# -- Python


def _module(name: str) -> str:
    """A module's text, then its classes, functions and values, each in alphabetical order."""
    module = importlib.import_module(name)
    kinds: dict[str, list[str]] = {"Classes": [], "Functions": [], "Values": []}
    for public in sorted(module.__all__, key=str.lower):
        value = getattr(module, public)
        if inspect.isclass(value):
            kinds["Classes"].append(f".. autoclass:: {name}.{public}")
        elif inspect.isfunction(value):
            kinds["Functions"].append(f".. autofunction:: {name}.{public}")
        else:
            kinds["Values"].append(f".. autodata:: {_home(module, public)}.{public}\n   :no-value:")
    return _page(
        name,
        _directives([f".. automodule:: {name}\n   :no-members:"]),
        *(f"## {kind}\n\n{_directives(listed)}" for kind, listed in kinds.items() if listed),
    )


def _home(module: ModuleType, public: str) -> str:
    """The module whose source assigns a value, where its comment stands."""
    for statement in ast.parse(inspect.getsource(module)).body:
        imported = isinstance(statement, ast.ImportFrom) and statement.module
        if imported and public in [alias.name for alias in statement.names]:
            return _home(importlib.import_module(imported), public)
    return module.__name__


def _directives(listed: Iterable[str]) -> str:
    lines = "\n".join(listed)
    return f"```{{eval-rst}}\n{lines}\n```"


# -- command line


def _command_line() -> str:
    return _page(
        "Command line",
        "`python -m jaxviz` is the same program. Options may stand before or after arguments.",
        _table(
            ("Exit status", "Meaning"),
            (
                ("0", "Done. Dead units are a finding, not a failure."),
                ("1", "An error, which the message explains."),
                ("2", "Wrong usage."),
                ("3", "Finished, but some units failed: their pictures are not finite."),
                ("130", "Interrupted. The same command continues."),
            ),
        ),
        "Only results go to standard output. Progress, notes and errors go to standard error.",
        *(_command(name, cli.commands[name]) for name in sorted(cli.commands)),
    )


def _command(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name, parent=click.Context(cli, info_name="jaxviz"))
    usage = command.get_usage(context).removeprefix("Usage: ")
    records = filter(None, (p.get_help_record(context) for p in command.get_params(context)))
    rows = [_option(*record) for record in records if record[1] and "--help" not in record[0]]
    return "\n\n".join(
        (
            f"## {name}",
            _literal(re.sub(r"\s+", " ", usage)),
            _paragraphs(command.help or ""),
            _table(("Option", "Meaning"), rows) if rows else "",
        )
    ).rstrip()


def _option(names: str, meaning: str) -> tuple[str, str]:
    """A row of the table: Click's `text  [default: 1; x>=1]` as two sentences."""
    text, _, extra = meaning.partition("  [")
    parts = [
        part.replace("default: ", "default ") for part in extra.rstrip("]").split("; ") if part
    ]
    noted = f" ({', '.join(map(_limits, parts))})" if parts else ""
    return f"`{names.replace(' RANGE', '')}`", _plain(text) + noted


def _limits(text: str) -> str:
    """Click's `20<=x<=1200` in words; any other text unchanged."""
    found = re.fullmatch(r"(?:(\S+?)(<=?))?x(?:(<=?|>=?)(\S+))?", text)
    if not found:
        return text
    low, low_sign, sign, value = found.groups()
    if low and value and low_sign == sign == "<=":
        return f"{low} to {value}"
    words = {"<": "below", "<=": "at most", ">": "above", ">=": "at least"}
    first = f"{'above' if low_sign == '<' else 'at least'} {low}" if low else ""
    second = f"{words[sign]} {value}" if value else ""
    return " and ".join(filter(None, (first, second)))


def _paragraphs(text: str) -> str:
    """Help text as Markdown; what Click must not wrap (a backspace before it) as it stands."""
    blocks = re.split(r"\n\s*\n", inspect.cleandoc(text).replace("\f", ""))
    return "\n\n".join(
        _literal(block[1:].strip())
        if block.startswith("\b")
        else _plain(re.sub(r"\s*\n\s*", " ", block))
        for block in blocks
    )


# -- documents


def _recipe() -> str:
    document = tomllib.loads(_RECIPE)
    for table in document["atlas"]:  # an example that does not work is no example
        AtlasRecipe(**{**document["defaults"], **table})
    return _page(
        "Recipe keys",
        "A recipe is a TOML file with one `[[atlas]]` table for each atlas. A `[defaults]` table "
        "fills in the keys that they leave out. Paths are relative to the recipe's folder. "
        "[Batch runs](../guides/batch-runs.md) explains how to use one.",
        f"```toml\n{_RECIPE}```",
        _fields(AtlasRecipe, AtlasRecipe.model_json_schema(), first="Key"),
        "`jaxviz atlas` has an option for each key that is not a path; see "
        "[the command line](cli.md#atlas).",
    )


def _manifest() -> str:
    schema = manifest_schema()
    models = _models(Manifest)
    return _page(
        "Manifest schema",
        "`manifest.json` stands in an atlas folder and records what the atlas holds and how it was "
        "made. It is one JSON object. Unknown keys are refused. "
        "{download}`manifest.schema.json <manifest.schema.json>` is the JSON Schema; "
        "`jaxviz.atlas.manifest_schema()` returns it.",
        *(
            "\n\n".join(
                (
                    f"## {name}",
                    _summary(models[name]) if name in models else "",
                    _fields(models.get(name), part, first="Key"),
                )
            )
            for name, part in (("Manifest", schema), *schema.get("$defs", {}).items())
            if "properties" in part or "enum" in part
        ),
    )


def _models(top: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Every model that a document consists of, by name."""
    found: dict[str, type[BaseModel]] = {}
    waiting: list[Any] = [top]
    while waiting:
        kind = waiting.pop()
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            if kind.__name__ in found:
                continue
            found[kind.__name__] = kind
            waiting += [field.annotation for field in kind.model_fields.values()]
        else:
            waiting += getattr(kind, "__args__", ())
    return found


def _fields(model: type[BaseModel] | None, schema: dict[str, Any], *, first: str) -> str:
    if "enum" in schema:
        return "One of " + ", ".join(f"`{value}`" for value in schema["enum"]) + "."
    meanings = _attributes(model) if model else {}
    for name, field in (model.model_fields if model else {}).items():
        if isinstance(key := field.validation_alias or field.alias, str):
            meanings[key] = meanings.get(name, "")
    required = schema.get("required", ())
    rows = (
        (
            f"`{key}`",
            _type(field),
            "required" if key in required else _default(field),
            _plain(field.get("description") or meanings.get(key, "")),
        )
        for key, field in schema["properties"].items()
    )
    return _table((first, "Type", "Default", "Meaning"), rows)


def _default(field: dict[str, Any]) -> str:
    value = field.get("default")
    return "" if value in (None, [], {}, "") else f"`{value}`"


_TYPES = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false"}


def _type(field: dict[str, Any]) -> str:
    """The type of a JSON value, in words."""
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[-1]
        return "any JSON" if name == "JsonValue" else f"[{name}](#{name.lower()})"
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "anyOf" in field:
        kinds = [_type(kind) for kind in field["anyOf"] if kind.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    if field.get("type") == "object":
        values = field.get("additionalProperties")
        return f"object of {_type(values)}" if isinstance(values, dict) else "object"
    text = _TYPES.get(field.get("type", ""), "any JSON")
    if field.get("format") == "date-time":
        text = "date and time"
    return text + _bounds(field)


def _bounds(field: dict[str, Any]) -> str:
    signs = (
        ("minimum", "≥"),
        ("exclusiveMinimum", ">"),
        ("maximum", "≤"),
        ("exclusiveMaximum", "<"),
    )
    parts = [f"{sign} {field[key]}" for key, sign in signs if key in field]
    parts = [part.replace(str(2**63), "2⁶³") for part in parts]
    return f" {', '.join(parts)}" if parts else ""


# -- exceptions and environment


def _exceptions() -> str:
    def tree(kind: type[Exception], depth: int = 0) -> Iterator[str]:
        yield f"{'  ' * depth}- {{py:exc}}`~jaxviz.errors.{kind.__name__}`: {_summary(kind)}"
        for child in kind.__subclasses__():
            if child.__module__ == errors.__name__:
                yield from tree(child, depth + 1)

    names = [name for name, kind in vars(errors).items() if inspect.isclass(kind)]
    return _page(
        "Exceptions",
        "jaxviz raises these on purpose; everything else is a bug. The command line prints the "
        "message without a traceback and exits with status 1. A message names the operation and "
        "its object, then lists every problem on its own line, then says how to fix it.",
        "\n".join(tree(errors.JaxvizError)),
        _directives(f".. autoexception:: jaxviz.errors.{name}" for name in names),
    )


def _environment() -> str:
    rows = (
        (
            f"`{setting.name}`",
            f"`{setting.default}`",
            " ".join(f"`{value}`" for value in setting.values) or "any text",
            _plain(setting.meaning),
        )
        for setting in SETTINGS
    )
    return _page(
        "Environment variables",
        "A variable is read whenever its value is needed.",
        _table(("Variable", "Default", "Values", "Meaning"), rows),
        "Files that jaxviz can make again lie in the user's cache folder, on Linux "
        "`$XDG_CACHE_HOME/jaxviz`: compiled programs in `xla`, timings of chunk sizes in `tuning`. "
        "JAX's own variables, such as `JAX_PLATFORMS` and `XLA_FLAGS`, work as usual.",
    )


# -- Markdown


def _page(title: str, *parts: str) -> str:
    return "\n\n".join((_NOTE, f"# {title}", *filter(None, parts))) + "\n"


def _literal(text: str) -> str:
    return f"```text\n{text}\n```"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(
        "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines
    )


def _plain(text: str) -> str:
    """Prose whose markup characters mean themselves, code in backticks excepted."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(p if p.startswith("`") else re.sub(r"([*_<\[{])", r"\\\1", p) for p in parts)


def _summary(kind: type) -> str:
    return (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")


def _attributes(kind: type) -> dict[str, str]:
    """The `Attributes:` section of a docstring: name to meaning."""
    section = re.search(r"^Attributes:\n((?:    .*\n?|\n)*)", inspect.getdoc(kind) or "", re.M)
    found = (
        re.findall(r"^    (\w+): ((?:.*\n?)(?:^        .*\n?)*)", section[1], re.M)
        if section
        else []
    )
    return {name: re.sub(r"\s+", " ", text).strip() for name, text in found}


def main() -> None:
    """Write or check every page."""
    stale = []
    for name, text in pages().items():
        file = REFERENCE / name
        if not file.is_file() or file.read_text("utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                file.write_text(text, encoding="utf-8")
    verb = "not up to date" if "--check" in sys.argv else "written"
    for name in stale:
        print(f"docs/reference/{name}: {verb}")
    if stale and "--check" in sys.argv:
        sys.exit("run scripts/docs --update")


if __name__ == "__main__":
    main()
