"""JSON from untrusted files: decoded within bounds, its values checked before use."""

from __future__ import annotations

import json
from typing import TypeAlias, TypeGuard, TypeVar

from jaxviz.errors import ModelFileError

#: Any value that JSON can hold.
Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"

_LARGEST_BYTES = 64 << 20
_DEEPEST = 300
_T = TypeVar("_T")


def parse_json(text: bytes | str, what: str) -> Json:
    """Decode JSON of bounded size and depth.

    Args:
        text: The encoded document.
        what: What an error message calls the document.

    Returns:
        The decoded document.

    Raises:
        ModelFileError: If the text is too large, nested too deeply, or not JSON.

    Example:
        >>> parse_json('{"units": 8}', "config.json")
        {'units': 8}
    """
    if len(text) > _LARGEST_BYTES:
        raise ModelFileError(
            f"{what} is too large for an architecture: found {len(text)} bytes, "
            f"expected at most {_LARGEST_BYTES}"
        )
    try:
        document: Json = json.loads(text)
    except RecursionError:
        raise ModelFileError(f"{what} is nested too deeply") from None
    except ValueError as error:
        raise ModelFileError(f"{what} is not valid JSON: {error}") from None
    level: list[Json] = [document]
    for _ in range(_DEEPEST):  # later functions recurse once per level
        level = [
            item
            for value in level
            if isinstance(value, list | dict)
            for item in (value.values() if isinstance(value, dict) else value)
        ]
    if level:
        raise ModelFileError(f"{what} is nested too deeply: expected at most {_DEEPEST} levels")
    return document


def need(value: object, kind: type[_T], what: str) -> _T:
    """Check the type of one value of a document.

    Args:
        value: The value.
        kind: The type it must have.
        what: What an error message calls the value.

    Raises:
        ModelFileError: If the value has another type.

    Example:
        >>> need(8, int, "the number of units")
        8
    """
    if not isinstance(value, kind):
        expected = {"dict": "object", "str": "string"}.get(kind.__name__, kind.__name__)
        raise ModelFileError(f"{what}: expected a JSON {expected}, found {str(value)[:80]!r}")
    return value


def are_ints(value: object) -> TypeGuard[list[int]]:
    """Whether a value is a list of whole numbers; JSON's true and false are none.

    Example:
        >>> are_ints([1, 2]), are_ints([1, True]), are_ints(1)
        (True, False, False)
    """
    return isinstance(value, list) and all(type(n) is int for n in value)
