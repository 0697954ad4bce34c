"""Every preset by its name: each `Preset` that a module of this folder defines."""

from __future__ import annotations

from jaxviz._util.parts import modules_of, values_of
from jaxviz.errors import ConfigError, nearest
from jaxviz.presets.own import ROBUST
from jaxviz.presets.preset import Preset

_FOUND = values_of(Preset, modules_of("jaxviz.presets", besides=("registry",)))

#: The preset that a user gets without asking.
DEFAULT_PRESET = ROBUST.name
#: Every preset by name: the default, then by module, in the order of definition.
PRESETS: dict[str, Preset] = {preset.name: preset for preset in (ROBUST, *_FOUND)}


def get_preset(name: str) -> Preset:
    """The preset of a name.

    Args:
        name: As `jaxviz presets` lists it.

    Returns:
        The preset, with its own name.

    Raises:
        ConfigError: If there is none, with the nearest names.

    Example:
        >>> get_preset("lucid").steps
        512
    """
    if name not in PRESETS:
        raise ConfigError(
            f"there is no preset {name!r}",
            hint=nearest(name, PRESETS) or f"There are: {', '.join(PRESETS)}.",
        )
    return PRESETS[name]
