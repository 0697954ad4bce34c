"""The columns of an atlas: the arrays that each layer has, declared here and nowhere else.

To add a measure, add a `Column` to `VALUES`. The store then makes its array, the writer accepts
it, the reader returns it, and the page shows it and sorts by it. To add a status, add it to
`jaxviz.status.UnitStatus`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from jaxviz.status import Reason, UnitStatus

Axis = Literal["height", "width", "depth"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One array of a layer, with the unit as its first axis.

    Attributes:
        name: The array's name in the store, and the keyword of `AtlasWriter.write`.
        dtype: Name of the data type, which NumPy and Zarr share.
        fill: The value of units that were never written, as Zarr spells it.
        axes: The axes after the unit. Their sizes are fields of the `LayerPlan`.
        title: The column's name on the page.
        meaning: One sentence that explains the column on the page.
        words: The meaning of each value, if the values are codes.
        optional: Whether a piece may be written without this column.
        measure: Whether the column rates pictures. Measures are summarised for each layer.
    """

    name: str
    dtype: str
    fill: int | Literal["NaN"]
    axes: tuple[Axis, ...] = ()
    title: str = ""
    meaning: str = ""
    words: Mapping[int, str] = field(default_factory=dict)
    optional: bool = False
    measure: bool = False

    def unwritten(self, shape: tuple[int, ...]) -> np.ndarray:
        """An array of the fill value.

        Example:
            >>> STATUS.unwritten((2,))
            array([0, 0], dtype=uint8)
        """
        return np.full(shape, np.nan if self.fill == "NaN" else self.fill, self.dtype)


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

#: One number per unit, in the order in which the page lists them.
VALUES = (
    Column(
        name="score",
        dtype="float32",
        fill="NaN",
        title="Score",
        meaning="The objective on the final image, without transforms.",
        measure=True,
    ),
    Column(
        name="initial",
        dtype="float32",
        fill="NaN",
        title="Initial score",
        meaning="The objective on the starting image.",
    ),
    _measure("gain", "Gain", "Score minus initial score."),
    _measure(
        "quantile",
        "Quantile",
        "Share of the reference images that excite the filter less than the picture does.",
    ),
    _measure(
        "selectivity",
        "Selectivity",
        "Share of the layer's other filters that the picture excites less, with each filter "
        "standardised over the reference images.",
    ),
    _measure(
        "robustness",
        "Robustness",
        "Activation after small shifts of the picture, divided by the activation without a shift.",
    ),
    _measure(
        "agreement",
        "Agreement",
        "Likeness of the pictures from two starts: the cosine of the activations that they cause "
        "in the layer.",
    ),
    Column(
        name="steps",
        dtype="int32",
        fill=-1,
        title="Steps",
        meaning="Number of updates until the picture converged or the steps ran out.",
        optional=True,
    ),
    Column(
        name="replicate",
        dtype="int32",
        fill=0,
        title="Replicate",
        meaning="Number of the picture, if a filter has several.",
        optional=True,
    ),
    Column(
        name="reason",
        dtype="uint8",
        fill=int(Reason.NONE),
        title="Reason",
        meaning="Why the filter is dead, or how it was rescued.",
        words={reason: reason.text for reason in Reason},
        optional=True,
    ),
)

STATUS = Column(name="status", dtype="uint8", fill=int(UnitStatus.PENDING), title="Status")

#: Every array of a layer. The status comes last because it is the commit mark of its units.
COLUMNS = (IMAGE, *VALUES, STATUS)
