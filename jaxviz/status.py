"""The state of a unit, and the reason for it."""

from __future__ import annotations

import enum


class UnitStatus(enum.IntEnum):
    """The state of a unit. Every state but `PENDING` is final.

    Example:
        >>> UnitStatus(2).label, [s.label for s in UnitStatus if s.final]
        ('dead', ['done', 'dead', 'failed', 'rescued'])
    """

    #: Not rendered yet; also the value of units in a chunk that was never written.
    PENDING = 0
    DONE = 1
    #: No gradient at any step, or no image makes the unit fire.
    DEAD = 2
    #: The score or the picture was not finite.
    FAILED = 3
    #: Dead at first, and alive after another attempt.
    RESCUED = 4

    @property
    def label(self) -> str:
        """The name in lower case, as the manifest and the summary show it."""
        return self.name.lower()

    @property
    def colour(self) -> str:
        """The colour on sheets and pages, where the label is always beside it."""
        return _COLOURS[self]

    @property
    def final(self) -> bool:
        """Whether the unit is finished."""
        return self is not UnitStatus.PENDING


_COLOURS = {
    UnitStatus.PENDING: "#7d8590",
    UnitStatus.DONE: "#57b894",
    UnitStatus.DEAD: "#eba63c",
    UnitStatus.FAILED: "#f2667a",
    UnitStatus.RESCUED: "#6fb1e8",
}


class Reason(enum.IntEnum):
    """The reason why a unit is dead, or the attempt that rescued it.

    Example:
        >>> Reason.UNREACHABLE.text
        'no image in the input range can make it fire'
    """

    NONE = 0
    #: Rescues, in the order of the attempts.
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
    Reason.PRE_ACTIVATION: "rescued by raising the pre-activation",
    Reason.LEAKY: "rescued by gradients that pass closed activations in the first steps",
    Reason.ANOTHER_START: "rescued from another start",
    Reason.NO_GRADIENT: "no gradient at any step",
    Reason.UNREACHABLE: "no image in the input range can make it fire",
    Reason.CLOSED: "no image was found that makes it fire: the largest pre-activation stayed below "
    "the activation function's threshold",
}
