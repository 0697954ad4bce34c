"""What became of a unit, and why."""

from __future__ import annotations

import enum


class UnitStatus(enum.IntEnum):
    """How far a unit is. Every code but `PENDING` is final.

    Example:
        >>> UnitStatus(2).label, [s.label for s in UnitStatus if s.final]
        ('dead', ['done', 'dead', 'failed', 'rescued'])
    """

    #: Not rendered yet; also what a chunk that was never written reads as.
    PENDING = 0
    DONE = 1
    #: No gradient at any step, so the picture is its start; or it never fires.
    DEAD = 2
    #: The score or the picture was not finite.
    FAILED = 3
    #: Dead at first, alive after it was tried in another way.
    RESCUED = 4

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
    UnitStatus.RESCUED: "#6fb1e8",
}


class Reason(enum.IntEnum):
    """Why a unit is dead, or what rescued it.

    Example:
        >>> Reason.UNREACHABLE.text
        'no image in the input range can make it fire'
    """

    NONE = 0
    #: Rescues, in the order in which they are tried.
    PRE_ACTIVATION = 1
    LEAKY = 2
    ANOTHER_START = 3
    #: Deaths.
    NO_GRADIENT = 10
    UNREACHABLE = 11
    CLOSED = 12

    @property
    def text(self) -> str:
        """The reason in words."""
        return _TEXTS[self]


_TEXTS = {
    Reason.NONE: "",
    Reason.PRE_ACTIVATION: "rescued by what goes into its activation function",
    Reason.LEAKY: "rescued by gradients through closed activations at the first steps",
    Reason.ANOTHER_START: "rescued from another start",
    Reason.NO_GRADIENT: "no gradient at any step",
    Reason.UNREACHABLE: "no image in the input range can make it fire",
    Reason.CLOSED: "no image was found that makes it fire: what goes into its activation function "
    "was raised as far as it went, and stayed below",
}
