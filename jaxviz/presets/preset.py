"""A preset: a complete, named, frozen render configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)

from jaxviz.errors import ConfigError
from jaxviz.imaging.display import Display
from jaxviz.objectives import AnyObjective, Channel
from jaxviz.parameterizations import AnyParameterization, Pixel
from jaxviz.presets.fields import assign, assignments
from jaxviz.presets.optimizers import OptimizerConfig
from jaxviz.presets.stop import Stop
from jaxviz.transforms import AnyTransform

#: Optimizers that leave a picture unchanged while its gradient is zero, from the first step.
_MOVED_BY_GRADIENTS = {"sgd", "adam", "rmsprop", "adagrad"}


class Texture(BaseModel):
    """Changes of a preset for a layer that sees a small part of a picture.

    The feature of such a unit fills its picture many times over. One size and a short search
    find it. The feature is fine, and a step along the gradient, whose length counts all
    frequencies, moves fine detail least.

    Attributes:
        share: Largest receptive field that has these changes, as a share (0 to 1) of the
            picture's side.
        search: Factor (0 to 1) of the shares of the ascent over which a jitter fades and the
            border does not count. Other transforms that fade are left out.
        step: Factor of the learning rate.

    Example:
        >>> Texture(share=0.5, search=1 / 3).step
        1.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    share: float = Field(gt=0, le=1)
    search: float = Field(default=1.0, gt=0, le=1)
    step: float = Field(default=1.0, gt=0)


class Preset(BaseModel):
    """A complete render configuration. It is data: it prints as JSON and stands in the manifest.

    Attributes:
        name: Its name on the command line.
        about: One line for `jaxviz presets`.
        source: Where its numbers come from.
        units: Values of black and white in its numbers.
        size: Side of the optimised image, in pixels; None follows the network's own input,
            within 64 to 128.
        steps: Number of updates.
        objective: Maximised.
        parameterization: Latent ↔ picture.
        transforms: Random changes that the picture has to be robust to, one draw per step.
        keep_transformed: Whether each step goes on from the transformed picture.
        amounts_follow_size: Whether pads, jitters and crops are scaled from `size` to the size
            of the picture.
        draws: Transformed pictures that a step averages over.
        replicates: Pictures per unit, made together from different starts. `diversity` in the
            objective makes them differ.
        optimizer: How the latent is updated.
        texture: Changes for layers that see a small part of the picture.
        level_signals: Whether signals (of one row) have mean 0 and one energy, as
            `Fourier.standardise` makes them. An image has black and white; the range of a
            recording only says what never occurs.
        redirect: Number of first steps whose gradients pass through closed activations.
        stop: When a unit counts as converged; None takes all steps.
        keep: Whether the last or the best iterate is the result.
        rescue: Whether units without a gradient are tried again in other ways.
        display: How the result is shown.

    Example:
        >>> preset = Preset(name="mine", steps=16, objective=Channel(trim=1))
        >>> Preset.model_validate_json(preset.model_dump_json()) == preset
        True
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    name: str
    about: str = ""
    source: str = ""
    units: tuple[float, float] = (-1.0, 1.0)
    size: PositiveInt | None = 128
    steps: PositiveInt = 30
    objective: AnyObjective = Channel()
    parameterization: AnyParameterization = Pixel()
    transforms: tuple[AnyTransform, ...] = ()
    keep_transformed: bool = False
    amounts_follow_size: bool = False
    draws: PositiveInt = 1
    replicates: PositiveInt = 1
    optimizer: OptimizerConfig = Field(default_factory=lambda: OptimizerConfig(learning_rate=1.0))
    texture: Texture | None = None
    level_signals: bool = False
    redirect: NonNegativeInt = 0
    stop: Stop | None = None
    keep: Literal["last", "best"] = "last"
    rescue: bool = False
    display: Display = Display()

    @model_validator(mode="after")
    def _fits_together(self) -> Preset:
        if self.parameterization.squash != "none" and self.units != (0.0, 1.0):
            raise ValueError(
                f"a {self.parameterization.squash} gives values between 0 and 1, "
                f"but units are {self.units}"
            )
        if self.keep_transformed and not self.parameterization.is_picture:
            raise ValueError("only the pixels of a picture can be kept as transforms leave them")
        comparing = any(part.compares_replicates for part in self.objective.parts())
        if self.replicates == 1 and comparing:
            raise ValueError(
                "diversity compares several pictures of a unit: give 2 replicates or more "
                "(--replicates 4)"
            )
        return self

    def override(self, **changes: object) -> Preset:
        """The preset with some fields replaced.

        Args:
            changes: Values by field; None leaves a field unchanged.

        Raises:
            ConfigError: Naming each field with a wrong value, and the reason.

        Example:
            >>> from jaxviz import PRESETS
            >>> PRESETS["keras-io"].override(steps=5, size=None).steps
            5
        """
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return self._made({**fields, **{n: v for n, v in changes.items() if v is not None}})

    def change(self, *changes: str) -> Preset:
        """The preset with single values changed, at any depth.

        Args:
            changes: `FIELD=VALUE`, where FIELD is a path such as `transforms.0.amount` and
                VALUE is JSON, or a plain word.

        Raises:
            ConfigError: If there is no such field, or it cannot have the value.

        Example:
            >>> from jaxviz import PRESETS
            >>> PRESETS["keras-io"].change("objective.trim=3", "stop=null").objective.trim
            3
        """
        document = self.model_dump(mode="json")
        for one in changes:
            assign(document, one)
        return self._made(document)

    def at(self, side: int, field: int | None = None, *, signal: bool = False) -> Preset:
        """The preset for a picture and a layer, with every amount that depends on them.

        Args:
            side: Side of the picture, in pixels.
            field: The layer's receptive field, in pixels; None is the whole picture.
            signal: Whether the picture is a signal of one row.

        Example:
            >>> from jaxviz import PRESETS
            >>> [t.amount for t in PRESETS["robust"].at(128, field=7).transforms]
            [64]
        """
        fixed = any(part.holds_position for part in self.objective.parts())
        share = 1.0
        if self.amounts_follow_size and self.size is not None:
            share = side / self.size
        transforms = tuple(t.at(share, side, field, fixed=fixed) for t in self.transforms)
        made = self.override(transforms=transforms)
        if self.texture and field is not None and field <= self.texture.share * side:
            made = made._of_texture(self.texture)
        latent = self.parameterization.at(side, field, level=signal and self.level_signals)
        return made.override(parameterization=latent)

    @property
    def stays_without_gradient(self) -> bool:
        """Whether a picture without a gradient at first never gets one.

        Nothing is random, the objective does not change, and only gradients move the picture.

        Example:
            >>> from jaxviz import PRESETS
            >>> PRESETS["keras-io"].stays_without_gradient, PRESETS["lucid"].stays_without_gradient
            (True, False)
        """
        changing = any(part.changes for part in self.objective.parts())
        drawn = self.transforms or changing or self.redirect
        return not drawn and self.optimizer.optimizer.name in _MOVED_BY_GRADIENTS

    def fields_text(self) -> str:
        """Every field on a line of its own, as `change` takes it.

        Example:
            >>> Preset(name="mine").fields_text().splitlines()[2].strip()
            'steps=30'
        """
        document = self.model_dump(mode="json", exclude={"name", "about", "source"})
        return "\n".join(f"    {line}" for line in assignments(document))

    def _of_texture(self, texture: Texture) -> Preset:
        """The preset for a layer that sees a small part of a picture."""
        found = [transform.for_texture(texture.search) for transform in self.transforms]
        rate = {"learning_rate": self.optimizer.learning_rate * texture.step}
        return self.override(
            transforms=tuple(transform for transform in found if transform is not None),
            objective=self.objective.for_texture(texture.search),
            optimizer=self.optimizer.model_copy(update=rate),
        )

    def _made(self, fields: Mapping[str, object]) -> Preset:
        try:
            return Preset.model_validate(fields)
        except ValidationError as error:
            details = [_problem(e["loc"], e["msg"]) for e in error.errors()]
            raise ConfigError(
                f"preset {self.name!r} cannot be changed so", details=details
            ) from error


def _problem(where: tuple[int | str, ...], message: str) -> str:
    """The problem with one field, or with several together."""
    path = ".".join(map(str, where))
    return f"{path}: {message}" if path else message.removeprefix("Value error, ")
