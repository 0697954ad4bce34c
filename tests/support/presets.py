"""Presets changed for a test."""

from __future__ import annotations

from jaxviz.presets import Preset
from jaxviz.presets.optimizers import Call


def settled(preset: Preset) -> Preset:
    """A preset without steps that turn on the sign of a gradient that is zero but for rounding.

    Adam and its kin first divide a gradient by its own size. Where that is all rounding, two
    chunks step in opposite directions, and by a whole radian with MACO's. Steps are short,
    for what begins as rounding grows with them.
    """
    config = preset.optimizer.model_copy(
        update={
            "optimizer": Call(name="sgd"),
            "learning_rate": 0.05 * (preset.units[1] - preset.units[0]),
            "gradient": "rms",
            "schedule": None,
        }
    )
    return preset.override(optimizer=config)
