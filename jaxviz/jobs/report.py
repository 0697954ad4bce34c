"""What became of an atlas, and who is told while it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jaxviz.atlas import LayerPlan


@dataclass(frozen=True)
class LayerReport:
    """What became of a layer: units by status and reason, how its measures are spread, and how
    long this run worked on it.
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
    """What became of an atlas."""

    path: Path
    layers: tuple[LayerReport, ...]

    @property
    def failed(self) -> int:
        """Units whose picture was not finite."""
        return sum(layer.failed for layer in self.layers)


class Reporter:
    """Told about progress, from several threads; this one does nothing with it."""

    def note(self, text: str) -> None:
        """Something the user should know, said once."""

    def start(self, path: Path, layers: Sequence[LayerPlan], finished: int) -> None:
        """An atlas begins or continues, with so many units already there."""

    def layer(self, name: str) -> None:
        """A layer begins."""

    def units(self, count: int) -> None:
        """So many more units are finished."""

    def finish(self, report: LayerReport) -> None:
        """A layer is complete."""
