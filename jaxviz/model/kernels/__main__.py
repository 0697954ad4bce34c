"""Print where each fast implementation is chosen: `python -m jaxviz.model.kernels`."""

from __future__ import annotations

from jaxviz._util.text import table_lines
from jaxviz.model.ops.registry import (
    NeighbourPreference,
    Preference,
    neighbour_preferences,
    preferences,
)


def preference_table() -> str:
    """One row per preference, by operation and in order of rank; neighbours' preferences last.

    Example:
        >>> "patches" in preference_table()
        True
    """
    rows = [("operation", "rank", "implementation", "on", "file", "when")]
    choices: list[Preference | NeighbourPreference] = [*preferences(), *neighbour_preferences()]
    for choice in choices:
        when = (choice.suits.__doc__ or "").partition("\n")[0]
        rows.append(
            (
                choice.op.__name__,
                str(choice.rank) if isinstance(choice, Preference) else "",
                choice.implementation,
                ", ".join(sorted(choice.platforms)),
                choice.suits.__module__.removeprefix("jaxviz.model."),
                when.removeprefix("Whether ").rstrip("."),
            )
        )
    return "\n".join(table_lines(rows, left=range(len(rows[0]))))


if __name__ == "__main__":
    print(preference_table())
