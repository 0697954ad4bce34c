"""Checks the arrays of one piece before they are written."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from jaxviz.atlas.columns import COLUMNS, IMAGE, STATUS, Column
from jaxviz.atlas.manifest import LayerPlan
from jaxviz.errors import AtlasError
from jaxviz.status import UnitStatus

_FINAL = np.array([status.value for status in UnitStatus if status.final], np.uint8)


def is_final(status: np.ndarray) -> np.ndarray:
    """Whether each unit's status is final, bool [unit].

    Args:
        status: `UnitStatus` codes, [unit].
    """
    return np.isin(status, _FINAL)


def checked_columns(
    plan: LayerPlan, units: range, given: Mapping[str, ArrayLike]
) -> dict[str, np.ndarray]:
    """Every column of a piece as an array of the column's type.

    Args:
        plan: The layer.
        units: The piece.
        given: Arrays by column name. Optional columns may be missing.

    Raises:
        AtlasError: If anything does not fit. The message lists every problem.
    """
    known = {column.name for column in COLUMNS}
    problems = [f"{name}: no such column" for name in given if name not in known]
    if units not in plan.pieces():
        problems.append(
            f"units {units.start}:{units.stop} are not a piece of {plan.piece_units} units"
        )
    arrays = {}
    for column in COLUMNS:
        expected = plan.shape_of(column, len(units))
        if column.name not in given:
            if column.optional:
                arrays[column.name] = column.unwritten(expected)
            else:
                problems.append(f"{column.name}: missing, expected shape {expected}")
            continue
        array = np.asarray(given[column.name])
        if problem := _problem(column, array, expected):
            problems.append(f"{column.name}: {problem}")
        else:
            arrays[column.name] = array.astype(column.dtype)
    if problems:
        raise AtlasError(f"cannot write units of layer {plan.name!r}", details=problems)
    return arrays


def _problem(column: Column, array: np.ndarray, expected: tuple[int, ...]) -> str:
    """Why an array does not fit its column; empty if it does."""
    if array.shape != expected:
        return f"has shape {array.shape}, expected {expected}"
    if column is IMAGE and array.dtype != column.dtype:
        return f"has type {array.dtype}, expected {column.dtype}"
    if column is STATUS and not is_final(array).all():
        return f"{np.unique(array).tolist()} are not all final"
    return ""
