"""How a picture is made: named, frozen render configurations."""

from __future__ import annotations

from jaxviz.errors import ConfigError, nearest
from jaxviz.presets.own import OWN
from jaxviz.presets.preset import Preset
from jaxviz.presets.published import PUBLISHED

PRESETS: dict[str, Preset] = {preset.name: preset for preset in (*OWN, *PUBLISHED)}
DEFAULT_PRESET = OWN[0].name


def get_preset(name: str) -> Preset:
    """The preset of a name.

    Raises:
        ConfigError: With the nearest names, if there is none.
    """
    if name not in PRESETS:
        raise ConfigError(
            f"there is no preset {name!r}",
            hint=nearest(name, PRESETS) or f"There are: {', '.join(PRESETS)}.",
        )
    return PRESETS[name]


__all__ = ["DEFAULT_PRESET", "PRESETS", "Preset", "get_preset"]
