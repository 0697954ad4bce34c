"""What an atlas holds about each unit; the only place where a column is declared.

To add a measure (a gain, a selectivity, a reason code), add a `Column` to `VALUES`:
the store makes its array, the writer asks for it, the reader offers it, and the
page lists it and sorts by it. To add a status, add it to `jaxviz.status.UnitStatus`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxviz.status import Reason, UnitStatus


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
        words: What a number of it stands for, where it is a code.
        optional: Whether a chunk may be written without it; it then reads as `fill`.
        measure: Whether it says what a picture is worth, and is summarised for a layer.
    """

    name: str
    dtype: str
    fill: float | int | str
    axes: tuple[str, ...] = ()
    title: str = ""
    meaning: str = ""
    words: Mapping[int, str] = field(default_factory=dict)
    optional: bool = False
    measure: bool = False


def _measure(name: str, title: str, meaning: str) -> Column:
    return Column(
        name=name,
        dtype="float32",
        fill="NaN",
        title=title,
        meaning=meaning,
        optional=True,
        measure=True,
    )


IMAGE = Column(name="image", dtype="uint8", fill=0, axes=("height", "width", "depth"))

#: One number per unit, in the order in which people see them.
VALUES = (
    Column(
        name="score",
        dtype="float32",
        fill="NaN",
        title="Score",
        meaning="The objective on the final image.",
        measure=True,
    ),
    Column(
        name="initial",
        dtype="float32",
        fill="NaN",
        title="Initial score",
        meaning="The objective on the starting image.",
    ),
    _measure("gain", "Gain", "Score less initial score."),
    _measure("quantile", "Quantile", "Share of the reference images that excite the filter less."),
    _measure(
        "selectivity",
        "Selectivity",
        "Share of the layer's other filters that the picture excites less, each standardised "
        "over the reference images.",
    ),
    _measure("robustness", "Robustness", "Activation after small shifts over that without."),
    _measure(
        "agreement",
        "Agreement",
        "How alike the pictures from two starts are: the cosine of what they excite in the layer.",
    ),
    Column(
        name="steps",
        dtype="int32",
        fill=-1,
        title="Steps",
        meaning="Updates until the filter had converged or its steps were done.",
        optional=True,
    ),
    Column(
        name="replicate",
        dtype="int32",
        fill=0,
        title="Replicate",
        meaning="Which of several pictures of the same filter.",
        optional=True,
    ),
    Column(
        name="reason",
        dtype="uint8",
        fill=int(Reason.NONE),
        title="Reason",
        meaning="Why a filter is dead, or what rescued it.",
        words={reason: reason.text for reason in Reason},
        optional=True,
    ),
)

STATUS = Column(name="status", dtype="uint8", fill=int(UnitStatus.PENDING), title="Status")

#: Every array of a layer. The status is last: it is the commit mark of its units.
COLUMNS = (IMAGE, *VALUES, STATUS)
