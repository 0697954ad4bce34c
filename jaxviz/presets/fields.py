"""Single values of a document by their path: `transforms.0.amount=8`."""

from __future__ import annotations

import json
from typing import TypeAlias

from jaxviz.errors import ConfigError, nearest

#: A value of JSON.
Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


def assign(document: Json, assignment: str) -> None:
    """Change one value of a document in place.

    Args:
        document: Objects and lists of JSON.
        assignment: `FIELD=VALUE`, where FIELD is a path of names and numbers, and VALUE is JSON
            or a plain word.

    Raises:
        ConfigError: If the text is no assignment, or the document has no such field.

    Example:
        >>> document = {"transforms": [{"amount": 4}]}
        >>> assign(document, "transforms.0.amount=8")
        >>> document
        {'transforms': [{'amount': 8}]}
    """
    path, equals, text = assignment.partition("=")
    if not equals:
        raise ConfigError(
            f"{assignment!r} is not an assignment",
            hint="Expected FIELD=VALUE, such as transforms.0.amount=8.",
        )
    path, value = path.strip(), _parsed(text.strip())
    *parents, last = path.split(".")
    place = document
    for part in parents:
        place = _below(place, part, path)
    _below(place, last, path)
    if isinstance(place, list):
        place[int(last)] = value
    elif isinstance(place, dict):
        place[last] = value


def assignments(value: Json, path: str = "") -> list[str]:
    """One `FIELD=VALUE` for every value of a document, as `assign` takes them.

    Args:
        value: Objects and lists of JSON.
        path: Path of the value itself.

    Example:
        >>> assignments({"steps": 30, "transforms": [{"amount": 4}]})
        ['steps=30', 'transforms.0.amount=4']
    """
    below: list[tuple[str, Json]] | None = None
    if isinstance(value, dict) and value:
        below = list(value.items())
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        below = [(str(number), each) for number, each in enumerate(value)]
    if below is None:
        return [f"{path}={json.dumps(value, ensure_ascii=False)}"]
    return [
        line for key, each in below for line in assignments(each, f"{path}.{key}" if path else key)
    ]


def _below(place: Json, part: str, path: str) -> Json:
    """The value at one name or number."""
    if isinstance(place, list) and part.isdigit() and int(part) < len(place):
        return place[int(part)]
    if isinstance(place, dict) and part in place:
        return place[part]
    names = list(place) if isinstance(place, dict) else []
    there = list(map(str, range(len(place)))) if isinstance(place, list) else names
    raise ConfigError(
        f"a preset has no field {path!r}",
        hint=nearest(part, names) or f"At {part!r} it has: {', '.join(there)}.",
    )


def _parsed(text: str) -> Json:
    try:
        found: Json = json.loads(text)
    except json.JSONDecodeError:
        words: dict[str, Json] = {"True": True, "False": False, "None": None}
        return words.get(text, text)
    return found
