"""Summarises a layer's units in a few numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import JsonValue

from jaxviz._util.text import table_lines
from jaxviz.atlas.columns import STATUS, VALUES
from jaxviz.atlas.manifest import LayerRecord, Spread
from jaxviz.status import Reason, UnitStatus

#: The columns that are summarised.
MEASURES = tuple(column for column in VALUES if column.measure)
_ALIVE = (UnitStatus.DONE, UnitStatus.RESCUED)
_PERCENTILES = (10, 50, 90)


def spreads(values: Mapping[str, np.ndarray]) -> dict[str, Spread]:
    """The distribution of every measure over the units that are done or rescued.

    Args:
        values: The status and the measures, [unit], by column name.

    Example:
        >>> status, score = np.array([1, 1, 2, 4]), np.array([3.0, 1.0, 0.0, 2.0])
        >>> spreads({"status": status, "score": score})["score"].median
        2.0
    """
    alive = np.isin(values[STATUS.name], _ALIVE)
    found = {}
    for column in MEASURES:
        known = values.get(column.name, np.zeros(0))
        known = known[alive] if len(known) else known
        known = known[np.isfinite(known)].astype(np.float64)
        if len(known):
            low, median, high = (float(f"{x:.6g}") for x in np.percentile(known, _PERCENTILES))
            found[column.name] = Spread(units=len(known), low=low, median=median, high=high)
    return found


def reasons(values: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Number of dead or rescued units, by the reason's name.

    Example:
        >>> reasons({"reason": np.array([0, 11, 11, 2])})
        {'leaky': 1, 'unreachable': 2}
    """
    codes = values["reason"]
    counts = {reason: int((codes == reason).sum()) for reason in Reason if reason}
    return {reason.name.lower(): count for reason, count in counts.items() if count}


def summary_rows(layers: Sequence[LayerRecord]) -> list[dict[str, JsonValue]]:
    """A JSON object for each layer.

    Its keys are `layer`, `units`, every status, `reasons`, `measures` and `seconds`.
    """
    return [_row(entry) for entry in layers]


def _row(entry: LayerRecord) -> dict[str, JsonValue]:
    return {
        "layer": entry.plan.name,
        "units": entry.plan.units,
        **entry.counts,
        "reasons": dict(entry.reasons),
        "measures": {name: spread.model_dump() for name, spread in entry.measures.items()},
        "seconds": round(entry.seconds, 1),
    }


def summary_table(layers: Sequence[LayerRecord]) -> str:
    """A table for people: a line for each layer, with the median of every measure."""
    measured = [c for c in MEASURES if any(c.name in entry.measures for entry in layers)]
    counted = [s for s in UnitStatus if any(entry.counts.get(s.label) for entry in layers)]
    lines = [["layer", "units", *(s.label for s in counted), *(c.title for c in measured), "time"]]
    for entry in layers:
        medians = [entry.measures.get(c.name) for c in measured]
        lines.append(
            [
                entry.plan.name,
                str(entry.plan.units),
                *(str(entry.counts.get(s.label, 0)) for s in counted),
                *("–" if m is None else f"{m.median:.3g}" for m in medians),
                f"{entry.seconds:.1f} s",
            ]
        )
    text = table_lines(lines)
    text.append("Measures are medians over the filters that are done or rescued.")
    text += _explained(layers)
    return "\n".join(text)


def _explained(layers: Sequence[LayerRecord]) -> list[str]:
    total: dict[str, int] = {}
    for entry in layers:
        for name, count in entry.reasons.items():
            total[name] = total.get(name, 0) + count
    return [f"{count} filters: {Reason[name.upper()].text}" for name, count in total.items()]
