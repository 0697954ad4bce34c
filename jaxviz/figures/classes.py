"""What a network says an image is: labelled bars."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxviz.errors import ConfigError
from jaxviz.figures.canvas import Canvas, number, text_width
from jaxviz.figures.rows import Side
from jaxviz.spec import ModelSpec

_LONGEST_LABEL = 1.3
_LENGTH = 0.85
_VALUES = 0.42
_BAR = 0.21
#: Of many classes only so many are shown, the likeliest.
MOST = 6
# Up to so many are shown all, in their own order.
_ALL = 8


def class_labels(spec: ModelSpec, labels: Sequence[str] | None, classes: int) -> tuple[str, ...]:
    """The names of the classes: as given, else the model's, else their numbers.

    Raises:
        ConfigError: If there are more or fewer than the network has classes.
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
    """Labels from a file (one a line, or JSON: a list, or an object with `classes`), or as typed.

    Raises:
        ConfigError: If there are none in the file.

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
                hint="Give a file with a label a line, or the labels themselves: cat,dog,horse.",
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


def class_bars(output: np.ndarray, labels: Sequence[str]) -> Side:
    """Bars for the right end of each row: the predicted class marked, a length that compares.

    Probabilities are drawn from 0 to 1. What a network gives without a softmax is called
    scores and drawn as it is, on one scale for all rows.

    Args:
        output: [image, class].
        labels: One per class.
    """
    shown = len(labels) if len(labels) <= _ALL else MOST
    probable = are_probabilities(output)
    # What a sigmoid gives is no distribution over the classes, but it has the same scale.
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
