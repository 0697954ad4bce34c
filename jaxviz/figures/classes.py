"""A network's conclusions about images, as labelled bars."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxviz.errors import ConfigError
from jaxviz.figures.canvas import Canvas
from jaxviz.figures.rows import Side
from jaxviz.figures.text import number, text_width
from jaxviz.spec import ModelSpec

_LONGEST_LABEL = 1.3
_LENGTH = 0.85
_VALUES = 0.42
_BAR = 0.21
#: With more than `_ALL` classes, only this many of the likeliest are shown.
MOST = 6
# Up to this many classes are all shown, in their own order.
_ALL = 8


def class_labels(spec: ModelSpec, labels: Sequence[str] | None, classes: int) -> tuple[str, ...]:
    """The names of the classes: those given, else the model's, else numbers.

    Args:
        spec: The architecture, which may hold names.
        labels: A name for each class, or None.
        classes: Number of classes of the network.

    Raises:
        ConfigError: If the number of labels is not the number of classes.
    """
    given = tuple(labels) if labels is not None else spec.labels
    if not given and classes == 1:
        return ("output",)
    if not given:
        return tuple(f"class {k}" for k in range(classes))
    if len(given) != classes:
        raise ConfigError(
            f"there are {len(given)} labels, but model {spec.name!r} has {classes} classes",
            details=[f"labels: {', '.join(given[:6])}{', …' if len(given) > 6 else ''}"],
        )
    return given


def read_labels(text: str) -> tuple[str, ...]:
    """Labels from a file, or from a text with commas.

    Args:
        text: Path of a file with a label a line, of a JSON file with a list or with an object
            whose `classes` is one; or the labels themselves.

    Raises:
        ConfigError: If the file holds no list of labels, or there is no such file.

    Example:
        >>> read_labels("cat,dog")
        ('cat', 'dog')
    """
    path = Path(text)
    try:
        is_file = path.is_file()
        content = path.read_text(encoding="utf-8") if is_file else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{text!r} holds no labels: {error}") from error
    if not is_file:
        if "," not in text:
            raise ConfigError(
                f"there is no file of labels {text!r}",
                hint="Expected a file with a label a line, or the labels: cat,dog,horse.",
            )
        return tuple(part.strip() for part in text.split(","))
    if path.suffix.lower() != ".json":
        found: object = [line.strip() for line in content.splitlines() if line.strip()]
    else:
        try:
            found = json.loads(content)
        except ValueError as error:
            raise ConfigError(f"{text!r} is not JSON: {error}") from error
        found = found.get("classes") if isinstance(found, dict) else found
    if not isinstance(found, list) or not found or not all(isinstance(x, str) for x in found):
        raise ConfigError(f"{text!r} holds no list of labels")
    return tuple(found)


def are_probabilities(output: np.ndarray) -> bool:
    """Whether every row is between 0 and 1 and sums to 1."""
    inside = bool((output >= -1e-6).all() and (output <= 1 + 1e-6).all())
    several = output.shape[-1] > 1
    return several and inside and bool(np.allclose(output.sum(axis=-1), 1, atol=1e-3))


def output_bars(spec: ModelSpec, output: np.ndarray, labels: Sequence[str] | None) -> Side | None:
    """Bars of a network's output; None where the output is not a number for each class.

    Args:
        spec: The architecture.
        output: [image, …], as the network gives it.
        labels: Names of the classes, or None for the model's own.

    Raises:
        ConfigError: If labels are given and do not fit the output.
    """
    if output.ndim == 2:
        return class_bars(output, class_labels(spec, labels, output.shape[1]))
    if labels is not None:
        raise ConfigError(
            f"model {spec.name!r} has no classes to label: its output is of shape "
            f"{'×'.join(map(str, output.shape[1:]))}"
        )
    return None


def class_bars(output: np.ndarray, labels: Sequence[str]) -> Side:
    """Bars for the right end of each row, with the predicted class marked.

    Probabilities are drawn on a scale from 0 to 1. Outputs without a softmax are called scores,
    and all rows share a scale.

    Args:
        output: [image, class].
        labels: A name for each class.
    """
    shown = len(labels) if len(labels) <= _ALL else MOST
    probable = are_probabilities(output)
    # Sigmoids have the scale of probabilities too, although they do not sum to 1.
    inside = bool(((output >= 0) & (output <= 1)).all())
    reach = 1.0 if inside else float(np.abs(output[np.isfinite(output)]).max(initial=1e-9))
    signed = not probable and bool((output < 0).any())

    widest = max(text_width(label, 8, bold=True) for label in labels)
    name_width = max(0.3, min(_LONGEST_LABEL, widest + 0.02))

    def draw(canvas: Canvas, row: int, left: float, top: float, height: float) -> None:
        values = output[row]
        predicted = int(np.argmax(values))
        if shown == len(labels):
            order = list(range(shown))
        else:
            order = [int(k) for k in np.argsort(-values, kind="stable")[:shown]]
        step = min(_BAR * 1.25, height / shown)
        start = left + name_width + 0.08
        zero = start + (_LENGTH / 2 if signed else 0)
        unit = (_LENGTH / 2 if signed else _LENGTH) / reach
        for place, k in enumerate(order):
            y = top + (place + 0.5) * step
            best = k == predicted
            colour = canvas.theme.text if best else canvas.theme.muted
            canvas.text(left + name_width, y, labels[k], size=8, colour=colour, bold=best,
                        align="right", width=name_width)  # fmt: skip
            value = float(np.nan_to_num(values[k]))
            extent = value * unit
            canvas.rectangle(
                min(zero, zero + extent), y - 0.32 * step, abs(extent), 0.64 * step,
                fill=canvas.theme.accent if best else canvas.theme.faint,
            )  # fmt: skip
            text = _percent(value) if probable else number(value)
            canvas.text(start + _LENGTH + 0.06, y, text, size=7.5, colour=colour, bold=best,
                        width=_VALUES)  # fmt: skip
        canvas.line([zero, zero], [top, top + shown * step], thickness=0.8)

    title = "class probabilities" if probable else "class scores"
    title = "output" if len(labels) == 1 else title
    subtitle = f"the {shown} highest of {len(labels)}" if shown < len(labels) else ""
    width = max(name_width + 0.08 + _LENGTH + 0.06 + _VALUES, 1.75)
    return Side(title, subtitle, width, draw, least_height=shown * 0.17)


def _percent(value: float) -> str:
    if 0 < value < 0.005:
        return "<1 %"
    if 0.995 <= value < 1:
        return ">99 %"
    return f"{100 * value:.0f} %"
