"""The environment variables that jaxviz reads.

A variable is read whenever its value is needed, so a change takes effect in a running process.
Adding one is a `Setting` here and a call of its `read`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from jaxviz.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Setting:
    """An environment variable with its default value.

    Attributes:
        name: Name of the variable.
        meaning: What it changes, in sentences for the documentation.
        default: Value where the variable is not set.
        values: All values allowed; empty where any text is.
    """

    name: str
    meaning: str
    default: str
    values: tuple[str, ...] = ()

    def read(self) -> str:
        """The value in this process's environment, or the default.

        Raises:
            ConfigError: If the value is not one of `values`.

        Example:
            >>> Setting(name="JAXVIZ_UNSET", meaning="Nothing.", default="on").read()
            'on'
        """
        value = os.environ.get(self.name, self.default)
        if self.values and value not in self.values:
            expected = " or ".join(self.values)
            raise ConfigError(f"{self.name} is {value!r}", hint=f"Expected {expected}.")
        return value


LOWERINGS = Setting(
    name="JAXVIZ_LOWERINGS",
    meaning="`reference` computes every operation by its reference implementation, for debugging. "
    "`fast` takes the fastest exact implementation for the device.",
    default="fast",
    values=("fast", "reference"),
)
TUNING = Setting(
    name="JAXVIZ_TUNING",
    meaning="`on` times a few chunk sizes before a long layer and keeps the fastest. "
    "`off` takes the chunk size from a rule, so that no timing affects the result.",
    default="on",
    values=("on", "off"),
)
MODELS = Setting(
    name="JAXVIZ_MODELS",
    meaning="For the tests: the folder of trained networks that `scripts/fetch_models` fills.",
    default="models",
)

#: Every variable, in alphabetical order; the documentation's table is made from these.
SETTINGS = (LOWERINGS, MODELS, TUNING)
