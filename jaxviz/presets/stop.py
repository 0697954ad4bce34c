"""When a unit has converged."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, PositiveInt


class Stop(BaseModel):
    """A unit has converged when the mean of its objective over a window rises no more.

    Attributes:
        window: Steps per mean, because transforms make single values noisy.
        tolerance: Least rise from one window to the next, relative to the first.

    Example:
        >>> Stop(window=32).tolerance
        0.01
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    window: PositiveInt = 16
    tolerance: float = Field(default=0.01, ge=0)
