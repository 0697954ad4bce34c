"""Recipes: the settings of an atlas, from the command line or a TOML file.

A recipe file has one `[[atlas]]` table for each atlas. `[defaults]` fills in the keys that the
tables leave out:

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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, PrivateAttr, ValidationError
from pydantic_core import ErrorDetails

from jaxviz.engine.choose import AskedDtype
from jaxviz.errors import ConfigError, RecipeError, nearest
from jaxviz.imaging.ranges import chosen_range
from jaxviz.objectives.text import parse_objective
from jaxviz.presets import DEFAULT_PRESET, Preset, get_preset
from jaxviz.presets.optimizers import Call
from jaxviz.spec import InputRange, ModelSpec


class AtlasRecipe(BaseModel):
    """The settings of one atlas.

    A setting that is left out follows from the preset, the model or the device.

    Attributes:
        model: A bundle or a model file.
        output: The atlas's folder.
        weights: A file of weights, if `model` holds only the architecture.
        layers: Globs of layer names, such as `conv*`. By default every convolution.
        channels: A range of channels, `A:B`, read like a Python slice. By default all channels.
        preset: Name of a preset. A list of names makes every picture with each of them.
        set: Changes of the preset's fields, each `FIELD=VALUE`, such as `transforms.0.amount=8`.
        objective: The objective to maximise instead of the preset's, such as `neuron(4, 7)`,
            `channel - 0.1*total_variation` or `direction("probe.npy")`.
        replicates: Number of pictures of each filter, optimised together. See the objective
            `diversity`.
        size: Side of the image, in pixels.
        steps: Number of updates.
        optimizer: An Optax optimizer, `NAME` or `NAME:KEY=VALUE,…`.
        learning_rate: The optimizer's learning rate, in the preset's units.
        schedule: An Optax schedule of the learning rate, `NAME:KEY=VALUE,…`.
        clip: An Optax transformation that clips each picture's gradient, `NAME:KEY=VALUE,…`.
        range: The pixel values that the network was trained on, `LO:HI`.
        preprocess: A preprocessing mode of keras.applications, which implies the range: `tf`,
            `torch`, `caffe` or `raw`. Give either `range` or `preprocess`.
        seed: Seed of the starting pictures and of the transforms.
        chunk: Units in one compiled call.
        attempts: Number of starting pictures of each unit. The best result is kept.
        images: A folder of images, or of `.npy` arrays, like those the network was trained on.
            Pictures take their colours from these images and are measured against them.
        dtype: Data type of the network's arithmetic: `float32`, `bfloat16`, or `auto` for the
            device's choice.

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
    #: The folder that file names in the objective are relative to.
    _folder: str = PrivateAttr(default="")

    def preset_used(self) -> Preset:
        """The preset, or the first of several, with the recipe's changes.

        Raises:
            ConfigError: If there is no such preset, or a change does not fit it.
        """
        return self.presets_used()[0]

    def presets_used(self) -> tuple[Preset, ...]:
        """Every preset, with the recipe's changes.

        Raises:
            ConfigError: If there is no such preset, or a change does not fit it.
        """
        names = (self.preset,) if isinstance(self.preset, str) else self.preset
        return tuple(self._changed(get_preset(name)) for name in dict.fromkeys(names))

    def _changed(self, preset: Preset) -> Preset:
        if self.set:
            preset = preset.change(*self.set)
        calls = {"optimizer": self.optimizer, "schedule": self.schedule, "clip": self.clip}
        given: dict[str, object] = {name: Call.parse(text) for name, text in calls.items() if text}
        if self.learning_rate is not None:
            given["learning_rate"] = self.learning_rate
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
        """The input range that the recipe names, else the model's own; None if both are unknown.

        Raises:
            ConfigError: If the recipe names both a range and a preprocessing, or one is invalid.
        """
        return chosen_range(self.range, self.preprocess) or spec.range


def read_recipes(path: str | os.PathLike[str]) -> tuple[AtlasRecipe, ...]:
    r"""Read a recipe file.

    Args:
        path: The file. Paths in it are relative to its folder.

    Returns:
        The recipe of each `[[atlas]]` table, with its paths joined to the file's folder.

    Raises:
        RecipeError: If the file cannot be read or holds mistakes. The message lists every
            mistake with its line and key.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "recipe.toml"
        ...     _ = file.write_text('[[atlas]]\nmodel = "net.keras"\noutput = "net.atlas"')
        ...     recipe, = read_recipes(file)
        >>> Path(recipe.output).name, recipe.preset
        ('net.atlas', 'robust')
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
        f"line {_line(text, _Place(key))}: there is no table {key!r}; "
        "expected [defaults] and [[atlas]]"
        for key in document
        if key not in ("defaults", "atlas")
    ]
    defaults, tables = document.get("defaults", {}), document.get("atlas", [])
    if not _are_tables(tables) or not isinstance(defaults, dict):
        problems.append("there is no [[atlas]] table")
        raise RecipeError(f"recipe {str(path)!r} cannot be used", details=problems)
    recipes: dict[int, AtlasRecipe] = {}
    for number, table in enumerate(tables):
        try:
            recipe = AtlasRecipe.model_validate({**defaults, **table})
            recipe._folder = str(path.parent)
            recipe.presets_used()
        except ValidationError as error:
            problems += [_problem(text, number, table, e) for e in error.errors()]
        except ConfigError as error:
            line = _line(text, _Place("atlas", number))
            problems.append(f"line {line}: {error.summary}. {error.hint}".strip())
        else:
            recipes[number] = _relative_to(path.parent, recipe)
    problems += _same_output(text, recipes)
    if problems:
        raise RecipeError(
            f"recipe {str(path)!r} cannot be used", details=list(dict.fromkeys(problems))
        )
    return tuple(recipes.values())


@dataclass(frozen=True)
class _Place:
    """A place in a recipe file.

    Attributes:
        table: Name of the table.
        number: Position among the tables of that name.
        key: A key in the table; None for the table itself.
    """

    table: str
    number: int = 0
    key: str | None = None


def _are_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(t, dict) for t in value)


def _relative_to(folder: Path, recipe: AtlasRecipe) -> AtlasRecipe:
    paths = {n: getattr(recipe, n) for n in ("model", "output", "weights", "images")}
    return recipe.model_copy(
        update={name: str(folder / path) for name, path in paths.items() if path is not None}
    )


def _same_output(text: str, recipes: Mapping[int, AtlasRecipe]) -> Iterator[str]:
    outputs = set()
    for number, recipe in recipes.items():
        output = os.path.abspath(recipe.output)
        if output in outputs:
            line = _line(text, _Place("atlas", number, "output"))
            yield f"line {line}: output: another atlas has this folder"
        outputs.add(output)


def _problem(text: str, number: int, table: Mapping[str, object], error: ErrorDetails) -> str:
    """A mistake that Pydantic found, with its line."""
    key = str(error["loc"][0])
    stands_here = key in table or error["type"] == "missing"
    line = _line(text, _Place("atlas", number, key) if stands_here else _Place("defaults", key=key))
    if error["type"] == "extra_forbidden":
        hint = nearest(key, AtlasRecipe.model_fields)
        return f"line {line}: {key}: there is no such key. {hint}".strip()
    if error["type"] == "missing":
        return f"line {line}: {key}: is missing from this [[atlas]]"
    return f"line {line}: {key}: {error['msg']}, found {error['input']!r}"


def _line(text: str, place: _Place) -> int:
    """The line of a place; the table's own line if the key is not there."""
    passed, inside, found = -1, False, 1
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*\"?([\w-]+)", line)
        if header:
            passed += header[1] == place.table
            inside = header[1] == place.table and passed == place.number
            found = number if inside else found
        elif place.key is None and _assigns(line, place.table):
            return number
        elif inside and place.key and _assigns(line, place.key):
            return number
    return found


def _assigns(line: str, key: str) -> bool:
    return re.match(rf"\s*\"?{re.escape(key)}\"?\s*=", line) is not None
