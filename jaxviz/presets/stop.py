"""When a unit has converged."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, PositiveInt


class Stop(BaseModel):
    """When a unit has converged: its objective's mean over a window has stopped to rise.

    Attributes:
        window: Steps that are averaged over; transforms make single values noisy.
        tolerance: Least relative rise from one window to the next.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    window: PositiveInt = 16
    tolerance: float = Field(default=0.01, ge=0)
