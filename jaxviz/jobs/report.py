"""Reports of a finished atlas, and the interface that follows its progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jaxviz.atlas import LayerPlan


@dataclass(frozen=True)
class LayerReport:
    """The result of one layer.

    Attributes:
        layer: The layer's name.
        units: Number of units.
        done: Number of units with a picture from the first try.
        dead: Number of units without a gradient.
        failed: Number of units whose picture is not finite.
        seconds: Time that this run spent on the layer.
        rescued: Number of units with a picture from a retry.
        reasons: Number of dead or rescued units, by reason.
        measures: Percentiles of each measure, by the measure's name.
    """

    layer: str
    units: int
    done: int
    dead: int
    failed: int
    seconds: float
    rescued: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    measures: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class AtlasReport:
    """The result of an atlas.

    Attributes:
        path: The atlas's folder.
        layers: The layers' results, in order.
    """

    path: Path
    layers: tuple[LayerReport, ...]

    @property
    def failed(self) -> int:
        """Number of units whose picture is not finite."""
        return sum(layer.failed for layer in self.layers)


class Reporter:
    """Follows the progress of an atlas; this base class ignores it.

    Several threads call the methods.
    """

    def note(self, text: str) -> None:
        """Tell the user something once.

        Args:
            text: One or two sentences.
        """

    def start(self, path: Path, layers: Sequence[LayerPlan], finished: int) -> None:
        """An atlas starts or continues.

        Args:
            path: The atlas's folder.
            layers: All its layers.
            finished: Number of units that earlier runs finished.
        """

    def layer(self, name: str) -> None:
        """A layer starts."""

    def units(self, count: int) -> None:
        """Some more units are finished.

        Args:
            count: How many more.
        """

    def finish(self, report: LayerReport) -> None:
        """A layer is complete."""
