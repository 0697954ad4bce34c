"""A cell as a peer steps it: the interface between `worker` and the peers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Parts:
    """A prepared cell: its batches and the functions that step and read them.

    Attributes:
        states: One entry a batch; `advance` maps each to the next.
        advance: (state, number of the batch, number of steps) -> state, once the steps are done.
        read: Images of a state, [image, height, width, channel].
        batch: Images in a state.
        about: Choices that the peer made by itself, kept in the result.
        live: (images, channels) -> whether each has a gradient; None where a peer cannot say.
        filters: Channels of the layer; 0 where a peer cannot say.
        tuning: Seconds spent on the choice of the chunk.
        whole: Pace of a run of the whole layer where it differs from the steps measured here:
            `first_seconds` up to the first step, then `milliseconds` per image and step.
    """

    states: list[Any]
    advance: Callable[[Any, int, int], Any]
    read: Callable[[Any], np.ndarray]
    batch: int
    about: str = ""
    live: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    filters: int = 0
    tuning: float = 0.0
    whole: dict[str, float] | None = None
