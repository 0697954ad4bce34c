"""What to make: the settings of an atlas, from the command line or a TOML file.

A recipe file has one `[[atlas]]` table for each atlas; `[defaults]` fills in what they
leave out:

    [defaults]
    preset = "keras-io"
    size = 128

    [[atlas]]
    model = "galaxy_cnn.keras"
    output = "galaxy.atlas"
    range = "0:1"
    layers = ["conv*"]
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, PrivateAttr, ValidationError

from jaxviz.engine.execution import AskedDtype
from jaxviz.errors import ConfigError, RecipeError, nearest
from jaxviz.imaging.ranges import chosen_range
from jaxviz.objectives.text import parse_objective
from jaxviz.presets import DEFAULT_PRESET, Preset, get_preset
from jaxviz.presets.optimizers import Call
from jaxviz.spec import InputRange, ModelSpec


class AtlasRecipe(BaseModel):
    """The settings of one atlas; what is None is the preset's, the model's or the device's.

    Attributes:
        model: A bundle or a model file.
        output: The atlas folder.
        weights: A file of weights, where `model` holds only the architecture.
        layers: Globs over layer names; every convolution where there are none.
        channels: `A:B`, as a Python slice; all where left out.
        preset: Name of a preset, or several, whose pictures are laid side by side.
        set: `FIELD=VALUE`, changes of the preset's fields, such as `transforms.0.amount=8`.
        objective: What is maximised, instead of the preset's, such as `neuron(4, 7)`,
            `channel - 0.1*total_variation` or `direction("probe.npy")`.
        replicates: Pictures of each filter, made together; see the objective `diversity`.
        size: Side of the image in pixels.
        steps: Updates.
        optimizer: `NAME` or `NAME:KEY=VALUE,…`, from Optax.
        learning_rate: Its step.
        schedule: `NAME:KEY=VALUE,…`, from Optax.
        clip: How each picture's gradient is clipped, `NAME:KEY=VALUE,…`, from Optax.
        range: `LO:HI`, the values the network was trained on.
        preprocess: Or the name of a keras.applications preprocessing mode.
        seed: Any integer.
        chunk: Units in one compiled call.
        attempts: Starts of which the best is kept.
        images: A folder of images (or `.npy` arrays) like those the network was trained on:
            their colours are the pictures' colours, and pictures are measured against them.
        dtype: What the network is computed in: `float32`, `bfloat16`, or the device's choice.

    Example:
        >>> AtlasRecipe(model="net.keras", output="net.atlas", steps=5).preset_used().steps
        5
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    model: str
    output: str
    weights: str | None = None
    layers: tuple[str, ...] = ()
    channels: str | None = None
    preset: str | Annotated[tuple[str, ...], Field(min_length=1)] = DEFAULT_PRESET
    set: tuple[str, ...] = ()
    objective: str | None = None
    replicates: PositiveInt | None = None
    size: PositiveInt | None = None
    steps: PositiveInt | None = None
    optimizer: str | None = None
    learning_rate: float | None = Field(default=None, gt=0)
    schedule: str | None = None
    clip: str | None = None
    range: str | None = None
    preprocess: str | None = None
    seed: int = Field(default=0, ge=0, lt=2**63)
    chunk: PositiveInt | None = None
    attempts: PositiveInt = 1
    images: str | None = None
    dtype: AskedDtype = "auto"
    #: What names of files in the objective are relative to.
    _folder: str = PrivateAttr(default="")

    def preset_used(self) -> Preset:
        """The (first) preset with every override in place; ConfigError if one does not fit."""
        return self.presets_used()[0]

    def presets_used(self) -> tuple[Preset, ...]:
        """Every preset with every override in place; ConfigError if one does not fit."""
        names = (self.preset,) if isinstance(self.preset, str) else self.preset
        return tuple(self._overridden(get_preset(name)) for name in dict.fromkeys(names))

    def _overridden(self, preset: Preset) -> Preset:
        if self.set:
            preset = preset.change(*self.set)
        optimizer: dict[str, Any] = {"learning_rate": self.learning_rate}
        optimizer["optimizer"] = Call.parse(self.optimizer) if self.optimizer else None
        optimizer["schedule"] = Call.parse(self.schedule) if self.schedule else None
        optimizer["clip"] = Call.parse(self.clip) if self.clip else None
        given = {name: value for name, value in optimizer.items() if value is not None}
        objective = None
        if self.objective is not None:
            objective = parse_objective(self.objective, preset.objective, self._folder)
        chosen = preset.override(
            steps=self.steps,
            objective=objective,
            replicates=self.replicates,
            optimizer=preset.optimizer.model_copy(update=given) if given else None,
        )
        chosen.optimizer.build(chosen.steps)
        return chosen

    def range_used(self, spec: ModelSpec) -> InputRange | None:
        """The input range: as asked for, else the model's own, else unknown."""
        return chosen_range(self.range, self.preprocess) or spec.range


def read_recipes(path: str | os.PathLike[str]) -> tuple[AtlasRecipe, ...]:
    """Read a recipe file.

    Paths in it are relative to the folder that it lies in.

    Raises:
        RecipeError: Naming the file, the key and the line of every mistake.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise RecipeError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{str(path)!r} is not valid TOML: {error}") from error
    problems = [
        f"line {_line(text, (key,))}: there is no table {key!r}; expected [defaults], [[atlas]]"
        for key in document
        if key not in ("defaults", "atlas")
    ]
    defaults, tables = document.get("defaults", {}), document.get("atlas", [])
    if not isinstance(tables, list) or not tables or not isinstance(defaults, dict):
        problems.append("there is no [[atlas]] table")
        raise RecipeError(f"recipe {str(path)!r} cannot be used", details=problems)
    recipes = []
    for number, table in enumerate(tables):
        try:
            recipe = AtlasRecipe(**{**defaults, **table})
            recipe._folder = str(path.parent)
            recipe.presets_used()
        except ValidationError as error:
            problems += [_problem(text, number, table, e) for e in error.errors()]
        except ConfigError as error:
            line = _line(text, ("atlas", number))
            problems.append(f"line {line}: {error.summary}. {error.hint}".strip())
        else:
            recipes.append(_relative_to(path.parent, recipe))
    problems += _same_output(text, recipes)
    if problems:
        raise RecipeError(
            f"recipe {str(path)!r} cannot be used", details=list(dict.fromkeys(problems))
        )
    return tuple(recipes)


def _relative_to(folder: Path, recipe: AtlasRecipe) -> AtlasRecipe:
    paths = {n: getattr(recipe, n) for n in ("model", "output", "weights", "images")}
    return recipe.model_copy(
        update={name: str(folder / path) for name, path in paths.items() if path is not None}
    )


def _same_output(text: str, recipes: Sequence[AtlasRecipe]) -> list[str]:
    seen: dict[str, int] = {}
    problems = []
    for number, recipe in enumerate(recipes):
        output = os.path.abspath(recipe.output)
        if output in seen:
            line = _line(text, ("atlas", number, "output"))
            problems.append(f"line {line}: output: another atlas goes to the same folder")
        seen.setdefault(output, number)
    return problems


def _problem(text: str, number: int, table: dict[str, Any], error: Any) -> str:
    key = str(error["loc"][0])
    where = ("atlas", number, key) if key in table or error["type"] == "missing" else None
    line = _line(text, where or ("defaults", key))
    if error["type"] == "extra_forbidden":
        hint = nearest(key, AtlasRecipe.model_fields)
        return f"line {line}: {key}: there is no such key. {hint}".strip()
    if error["type"] == "missing":
        return f"line {line}: {key}: is missing from this [[atlas]]"
    return f"line {line}: {key}: {error['msg']}, found {error['input']!r}"


def _line(text: str, where: tuple[str | int, ...]) -> int:
    """The line of a table or of a key within it; the table's own line if the key is not there."""
    table = str(where[0])
    index = where[1] if len(where) > 1 and isinstance(where[1], int) else 0
    key = where[-1] if isinstance(where[-1], str) and len(where) > 1 else None
    seen, inside, found = -1, False, 1
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*\"?([\w-]+)", line)
        if header:
            seen += header[1] == table
            inside = header[1] == table and seen == index
            found = number if inside else found
        elif re.match(rf"\s*\"?{re.escape(table)}\"?\s*=", line) and key is None:
            return number
        elif inside and key and re.match(rf"\s*\"?{re.escape(key)}\"?\s*=", line):
            return number
    return found
