"""Named, frozen render configurations: how a picture is made.

Every number has its source. A preset is data: it prints as JSON, stands in the manifest,
and any field of it can be overridden.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from jaxviz.display import Display
from jaxviz.errors import ConfigError, nearest
from jaxviz.optimizers import OptimizerConfig
from jaxviz.parameterizations import Pixel


class Preset(BaseModel):
    """A complete render configuration.

    Attributes:
        name: What it is called on the command line.
        about: One line for `jaxviz presets`.
        source: Where its numbers come from.
        units: What black and white are in its numbers.
        size: Side of the optimised image, in pixels.
        steps: Updates.
        trim: Border of the activation map that does not count.
        parameterization: What is optimised.
        optimizer: How it is updated.
        display: How the result is shown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    name: str
    about: str = ""
    source: str = ""
    units: tuple[float, float] = (-1.0, 1.0)
    size: PositiveInt = 128
    steps: PositiveInt = 30
    trim: NonNegativeInt = 0
    parameterization: Pixel = Pixel()
    optimizer: OptimizerConfig = Field(default_factory=lambda: OptimizerConfig(learning_rate=1.0))
    display: Display = Display()

    def override(self, **changes: Any) -> Preset:
        """The same preset with fields replaced; None leaves a field as it is.

        Raises:
            ConfigError: Naming the field and what is wrong with its value.

        Example:
            >>> PRESETS["keras-io"].override(steps=5, size=None).steps
            5
        """
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        fields.update({name: value for name, value in changes.items() if value is not None})
        try:
            return Preset(**fields)
        except ValidationError as error:
            details = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
            raise ConfigError(
                f"preset {self.name!r} cannot be changed so", details=details
            ) from error


_KERAS_IO = Preset(
    name="keras-io",
    about="the published loop: random grey, 30 steps of length 10 along the gradient",
    source="keras.io/examples/vision/visualizing_what_convnets_learn",
    units=(-1.0, 1.0),
    size=180,
    steps=30,
    trim=2,
    # (uniform(0, 1) - 0.5) · 0.25
    parameterization=Pixel(noise=0.125),
    optimizer=OptimizerConfig(learning_rate=10.0, gradient="l2"),
    display=Display(method="standardise", contrast=0.15, crop=25 / 180),
)

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        _KERAS_IO,
        _KERAS_IO.override(
            name="article",
            about="the published loop from plain grey, counting all but the outermost positions",
            source="the article that the project grew from; for the rest keras.io",
            trim=1,
            parameterization=Pixel(noise=0.0),
        ),
    )
}
DEFAULT_PRESET = "keras-io"


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
