"""Presets changed for a test."""

from __future__ import annotations

from jaxviz.presets import Preset
from jaxviz.presets.optimizers import Call


def settled(preset: Preset) -> Preset:
    """A preset whose steps do not depend on the sign of a gradient that is zero up to rounding.

    Adam and similar optimizers divide a gradient by its own size first. Where the gradient is
    rounding alone, two chunks step in opposite directions, with MACO by a whole radian. The steps
    here are short, because differences of rounding grow with every step.
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
