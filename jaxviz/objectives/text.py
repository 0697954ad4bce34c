"""Objectives as text: `channel - 0.1*total_variation`."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
from pydantic import ValidationError

from jaxviz.errors import ConfigError, nearest
from jaxviz.objectives.base import Objective
from jaxviz.objectives.registry import OBJECTIVES

#: Names that other tools use, by ours.
_OTHER_NAMES = {"tv": "total_variation", "deepdream": "layer", "filter": "channel", "lp": "norm"}
#: Made by arithmetic, and never written by name.
_UNWRITTEN = ("sum", "scaled", "product")
#: A number or an objective.
_Term: TypeAlias = float | Objective
_OPERATORS: dict[type[ast.operator], Callable[..., _Term]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}
#: Fields that may hold the name of a file.
_FILES = ("vector", "image")
_SHELL = (
    "A field that is left out has the preset's value, if the preset has that objective. Quote the "
    "text in a shell: --objective 'channel - 0.1*total_variation'."
)
_EXPECTED = "Expected names, numbers, +, - and *, such as channel - 0.1*total_variation."


def parse_objective(text: str, like: Objective | None = None, folder: str = "") -> Objective:
    """Read an objective.

    The text is arithmetic of names, each with its fields in brackets where they differ from the
    usual ones: `neuron(4, 7)`, `direction("probe.npy")`, `norm(6)`, `-channel`,
    `channel(trim=0) + 0.5*diversity`, `caricature("cat.png", layer="conv3")`.

    Args:
        text: The objective.
        like: Gives the fields that the text leaves out, where it has a part of that name.
        folder: Folder that names of files are relative to.

    Raises:
        ConfigError: Naming the part that is wrong, with the nearest names.

    Example:
        >>> print(parse_objective("2*channel(trim=1) - norm(6)"))
        2·channel − L6 norm
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        found = _Reader(like, folder).read(tree)
    except (SyntaxError, RecursionError, MemoryError, ValueError, OverflowError) as error:
        raise ConfigError(f"{text!r} is not an objective", hint=_EXPECTED) from error
    if not isinstance(found, Objective):
        raise ConfigError(f"{text!r} is a number, not an objective", hint=_EXPECTED)
    return found


def objective_names() -> list[str]:
    """Every name that an objective's text may contain.

    Example:
        >>> objective_names()[:3]
        ['channel', 'neuron', 'layer']
    """
    return [name for name in OBJECTIVES if name not in _UNWRITTEN]


def objective_table() -> str:
    """Every objective with its fields, for people.

    Example:
        >>> print(objective_table().splitlines()[2])
        channel(channel, layer=…, trim=…, trim_until=…, leak=…, stage=…)
    """
    lines = ["An objective is arithmetic of these: " + _EXPECTED.removeprefix("Expected "), ""]
    for name in objective_names():
        kind = OBJECTIVES[name]
        fields = _fields(kind)
        placed = [field for field in fields if field in kind.places]
        named = [f"{field}=…" for field in fields if field not in kind.places]
        lines.append(f"{name}({', '.join(placed + named)})" if fields else name)
        lines.append(f"    {(kind.__doc__ or '').strip().splitlines()[0]}")
    others = ", ".join(f"{one} is {other}" for one, other in _OTHER_NAMES.items())
    lines += ["", f"Other names: {others}.", _SHELL]
    return "\n".join(lines)


def _fields(kind: type[Objective]) -> list[str]:
    return [field for field in kind.model_fields if field != "kind"]


class _Reader:
    """Reads a syntax tree.

    Args:
        like: Gives the fields that are left out.
        folder: Folder that names of files are relative to.
    """

    def __init__(self, like: Objective | None, folder: str) -> None:
        self._like = {part.kind: part for part in like.parts()} if like else {}
        self._folder = Path(folder)

    def read(self, tree: ast.expr) -> _Term:
        """A number or an objective."""
        match tree:
            case ast.BinOp(left, op, right) if type(op) in _OPERATORS:
                return self._combined(_OPERATORS[type(op)], self.read(left), self.read(right))
            case ast.UnaryOp(ast.USub(), operand):
                return -self.read(operand)
            case ast.Constant(float() | int() as value) if not isinstance(value, bool):
                return value
            case ast.Name(name):
                return self._made(name, [], {})
            case ast.Call(ast.Name(name), arguments, keywords):
                given = [self._literal(a) for a in arguments]
                return self._made(name, given, {k.arg: self._literal(k.value) for k in keywords})
        raise ConfigError(f"{ast.unparse(tree)!r} cannot be part of an objective", hint=_EXPECTED)

    def _combined(self, combine: Callable[..., _Term], left: _Term, right: _Term) -> _Term:
        numbers = [not isinstance(side, Objective) for side in (left, right)]
        if any(numbers) and not all(numbers) and combine is not operator.mul:
            raise ConfigError(
                f"{left} and {right} cannot be added", hint="Only objectives are added."
            )
        return combine(left, right)

    def _literal(self, tree: ast.expr) -> object:
        return tree.id if isinstance(tree, ast.Name) else ast.literal_eval(tree)

    def _made(
        self, name: str, given: list[object], named: Mapping[str | None, object]
    ) -> Objective:
        kind = OBJECTIVES.get(_OTHER_NAMES.get(name, name))
        if kind is None or kind.model_fields["kind"].default in _UNWRITTEN:
            known = objective_names()
            hint = nearest(name, [*known, *_OTHER_NAMES]) or f"There are: {', '.join(known)}."
            raise ConfigError(f"there is no objective {name!r}", hint=hint)
        fields = self._placed(name, kind, given) | {str(f): v for f, v in named.items()}
        possible = _fields(kind)
        if wrong := [field for field in fields if field not in possible]:
            hint = nearest(wrong[0], possible)
            hint = hint or (f"It has: {', '.join(possible)}." if possible else "It has none.")
            raise ConfigError(f"objective {name!r} has no field {wrong[0]!r}", hint=hint)
        like = self._like.get(kind.model_fields["kind"].default)
        made: dict[str, object] = {f: getattr(like, f) for f in possible} if like else {}
        made |= {field: self._file(field, value) for field, value in fields.items()}
        try:
            return kind.model_validate(made)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"][:1]))
            raise ConfigError(f"objective {name!r}: {where}: {first['msg']}") from error

    def _placed(self, name: str, kind: type[Objective], given: list[object]) -> dict[str, object]:
        """Fields that are given without their name; a position may be given as its numbers."""
        if len(given) > 1 and kind.places == ("position",):
            given = [tuple(given)]
        if len(given) > len(kind.places):
            raise ConfigError(
                f"objective {name!r} takes {len(kind.places)} fields by place, found {len(given)}",
                hint=f"Name them: {', '.join(_fields(kind))}.",
            )
        field = dict(zip(kind.places, given, strict=False))
        if isinstance(field.get("position"), int):
            field["position"] = (field["position"],)
        return field

    def _file(self, field: str, value: object) -> object:
        if field not in _FILES or not isinstance(value, str):
            return value
        path = self._folder / value
        if not path.is_file():
            raise ConfigError(f"there is no file {str(path)!r}")
        return str(path) if field == "image" else read_vectors(path)


def read_vectors(path: Path) -> list[float] | list[list[float]]:
    """Read directions from a `.npy` file.

    Args:
        path: A file of finite numbers, [channels], or [unit, channels] for several directions.

    Raises:
        ConfigError: If the file holds anything else.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "probe.npy"
        >>> np.save(path, np.array([0.5, -1.0]))
        >>> read_vectors(path)
        [0.5, -1.0]
    """
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(
            f"{str(path)!r} is not a NumPy array",
            hint="A direction is a .npy file of one number per channel, or of rows of them.",
        ) from error
    numbers = isinstance(array, np.ndarray) and np.issubdtype(array.dtype, np.number)
    if not numbers or array.ndim not in (1, 2) or not np.isfinite(array).all() or not array.size:
        raise ConfigError(
            f"{str(path)!r} does not hold directions: "
            f"{array.dtype if isinstance(array, np.ndarray) else 'several arrays'}"
            f"{array.shape if isinstance(array, np.ndarray) else ''}",
            hint="Expected finite numbers of shape [channels] or [unit, channels].",
        )
    found: list[float] | list[list[float]] = array.astype(np.float64).tolist()
    return found
