"""The page that lists every converted and every refused class, made from the registry."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable

from converters.layers.registry import CONVERTERS, REFUSED, Converter

_NOTE = "<!-- Written by docs/generate.py. Change the code, then run scripts/docs --update. -->"
_INTRODUCTION = """\
`ops.NAME` is a function of `keras.ops` in a graph, under the name of its class in the file.
Nested models and `TimeDistributed` are replaced by the layers in them. A refused layer stops
the conversion, and its reason is printed. This list comes from `python -m converters.layers`."""


def page() -> str:
    """The list as Markdown: converted classes by family, then refused classes by reason."""
    families: dict[str, dict[Converter, list[str]]] = {}
    for name, converter in CONVERTERS.items():
        if name not in REFUSED:
            family = families.setdefault(converter.__module__, {})
            family.setdefault(converter, []).append(name)
    reasons: dict[str, list[str]] = {}
    for name, reason in REFUSED.items():
        reasons.setdefault(reason, []).append(name)
    return (
        "\n\n".join(
            (
                _NOTE,
                "# Keras layers",
                _INTRODUCTION,
                *(
                    f"## {_title(module)}\n\n{_family(found)}"
                    for module, found in sorted(families.items())
                ),
                "## Functions of TensorFlow\n\n" + _tensorflow_functions(),
                "## Refused\n\n" + _table(("Reason", "Classes"), _rows(reasons.items())),
            )
        )
        + "\n"
    )


def summary(converter: Converter) -> str:
    """The first line of a converter's docstring.

    Raises:
        ValueError: If the converter has no docstring.
    """
    text = inspect.getdoc(converter)
    if not text:
        raise ValueError(f"converter {converter.__qualname__} has no docstring")
    return text.splitlines()[0]


def _family(converters: dict[Converter, list[str]]) -> str:
    rows = ((_code(names), summary(converter)) for converter, names in converters.items())
    return _table(("Classes", "Result"), rows)


def _title(module: str) -> str:
    return (importlib.import_module(module).__doc__ or module).splitlines()[0].rstrip(".")


def _tensorflow_functions() -> str:
    module = importlib.import_module("converters.layers.tensorflow_ops")
    return f"tf.keras writes these as a `TFOpLambda`: {_code(module.FUNCTIONS)}."


def _rows(reasons: Iterable[tuple[str, list[str]]]) -> Iterable[tuple[str, str]]:
    return ((reason, _code(names)) for reason, names in reasons)


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _table(head: tuple[str, str], rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"| {left} | {right} |" for left, right in (head, ("---", "---"), *rows))
