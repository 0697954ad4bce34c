"""What an atlas holds about each unit; the only place where a column is declared.

To add a measure (a gain, a selectivity, a reason code), add a `Column` to `VALUES`:
the store makes its array, the writer asks for it, the reader offers it, and the
page lists it and sorts by it. To add a status, add it to `UnitStatus`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class UnitStatus(enum.IntEnum):
    """How far a unit is. Every code but `PENDING` is final.

    Example:
        >>> UnitStatus(2).label, [s.label for s in UnitStatus if s.final]
        ('dead', ['done', 'dead', 'failed'])
    """

    #: Not rendered yet; also what a chunk that was never written reads as.
    PENDING = 0
    DONE = 1
    #: No gradient at any step, so the picture is its start.
    DEAD = 2
    #: The score or the picture was not finite.
    FAILED = 3

    @property
    def label(self) -> str:
        """The status in lower case, as people and the manifest see it."""
        return self.name.lower()

    @property
    def colour(self) -> str:
        """Its colour on sheets and pages; in grey and for every eye a word stands beside it."""
        return _COLOURS[self]

    @property
    def final(self) -> bool:
        """Whether a unit with this status is finished with."""
        return self is not UnitStatus.PENDING


_COLOURS = {
    UnitStatus.PENDING: "#7d8590",
    UnitStatus.DONE: "#57b894",
    UnitStatus.DEAD: "#eba63c",
    UnitStatus.FAILED: "#f2667a",
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One array of a layer, with the unit as its first axis.

    Attributes:
        name: The array's name in the store, and the keyword of `AtlasWriter.write`.
        dtype: NumPy's name of the type, which Zarr shares for these types.
        fill: What a unit that was never written reads as.
        axes: The axes after the unit, by name; the sizes are fields of the `LayerPlan`.
        title: The name that people see.
        meaning: One sentence for people, shown on the page.
    """

    name: str
    dtype: str
    fill: float | int | str
    axes: tuple[str, ...] = ()
    title: str = ""
    meaning: str = ""


IMAGE = Column(name="image", dtype="uint8", fill=0, axes=("height", "width", "depth"))

#: One number per unit, in the order in which people see them.
VALUES = (
    Column(
        name="score",
        dtype="float32",
        fill="NaN",
        title="Score",
        meaning="The objective on the final image.",
    ),
    Column(
        name="initial",
        dtype="float32",
        fill="NaN",
        title="Initial score",
        meaning="The objective on the starting image.",
    ),
)

STATUS = Column(name="status", dtype="uint8", fill=int(UnitStatus.PENDING), title="Status")

#: Every array of a layer. The status is last: it is the commit mark of its units.
COLUMNS = (IMAGE, *VALUES, STATUS)
