"""Presets: named, frozen render configurations, how a picture is made."""

from __future__ import annotations

from jaxviz.presets.preset import Preset
from jaxviz.presets.registry import DEFAULT_PRESET, PRESETS, get_preset

__all__ = ["DEFAULT_PRESET", "PRESETS", "Preset", "get_preset"]
