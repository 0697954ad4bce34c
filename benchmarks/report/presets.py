"""The page of the presets compared."""

from typing import Any

from benchmarks.report.text import markdown, paragraphs

Row = dict[str, Any]
#: Keys of a row that are no column.
HIDDEN = ("model", "steps", "machine", "commit")


def presets(rows: list[Row]) -> str:
    """Scores and times of every preset."""
    known = {(row["machine"], row["commit"][:10]) for row in rows if "commit" in row}
    where = "; ".join(f"{machine}, commit {commit}" for machine, commit in sorted(known))
    unknown = sum("commit" not in row for row in rows)
    missing = f"Machine and commit of {unknown} rows were not recorded." if unknown else ""
    return paragraphs(
        "# Presets compared",
        f"{where}{'. ' if where and missing else ''}{missing}",
        "Mean activation of the finished, clean pictures over the whole map, 64 steps each. *raw* "
        "scores the picture itself, *in range* the picture clipped to the network's input range. "
        "*default at least* is the share of units on which the default preset scores at least as "
        "high. *steps to reach* is the smallest number of steps with which half of the units reach "
        "the goal: the score in range of keras.io's loop after its own 30 steps. Times are the "
        "best of three over 16 units. `torch-lucent (package)` is the package with its own "
        "defaults; `lucent` is jaxviz' preset with its numbers. [How to read the "
        "scores](method.md#presets).",
        presets_table(rows),
    )


def presets_table(rows: list[Row]) -> str:
    """One row a network, layer and preset."""
    keys = list(dict.fromkeys(key for row in rows for key in row if key not in HIDDEN))
    table = [["network", *keys]]
    for row in rows:
        cells = [str(row.get(key) if row.get(key) is not None else "") for key in keys]
        package = row["preset"].endswith("(package)")
        if not package and row.get("steps to reach") is None:
            cells[keys.index("steps to reach")] = "never"
        table.append([row["model"].split(".")[0], *cells])
    return markdown(table, 2)
