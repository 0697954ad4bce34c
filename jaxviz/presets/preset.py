"""What a preset is: a complete, named, frozen render configuration."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)

from jaxviz.errors import ConfigError, nearest
from jaxviz.imaging.display import Display
from jaxviz.objectives import AnyObjective, Channel
from jaxviz.parameterizations import AnyParameterization, Fourier, Pixel
from jaxviz.presets.optimizers import OptimizerConfig
from jaxviz.presets.stop import Stop
from jaxviz.transforms import AnyTransform, Crop, Jitter, Pad, Scale

#: Receptive field in pixels below which a picture's envelope rises no less: what a first layer
#: sees is a few pixels, what people look at is more.
_NARROWEST = 12
#: Optimizers that leave a picture where it is while its gradient is zero, from the first step.
_MOVED_BY_GRADIENTS = {"sgd", "adam", "rmsprop", "adagrad"}


class Texture(BaseModel):
    """How pictures are made of a layer that sees but a small part of them.

    What such a unit looks for lies everywhere in its picture, many times over: it need not be
    looked for long, nor in several sizes. It is fine, and of a step along the gradient, whose
    length is of all frequencies together, fine detail gets less.

    Attributes:
        share: The receptive field, as a share of the picture's side, up to which it is one.
        search: What is left of the share of the ascent over which a jitter dies away, and that
            the border does not count in. Other transforms that fade are left out.
        step: What the learning rate is multiplied with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    share: float = Field(gt=0, le=1)
    search: float = Field(default=1.0, gt=0, le=1)
    step: float = Field(default=1.0, gt=0)


class Preset(BaseModel):
    """A complete render configuration. It is data: it prints as JSON and stands in the manifest.

    Attributes:
        name: What it is called on the command line.
        about: One line for `jaxviz presets`.
        source: Where its numbers come from.
        units: What black and white are in its numbers.
        size: Side of the optimised image, in pixels; None follows the network's own input,
            within 64 to 128.
        steps: Updates.
        objective: What is maximised.
        parameterization: What is optimised.
        transforms: What the picture has to be robust to, one draw of each per step.
        keep_transformed: Whether the picture stays as the transforms leave it.
        amounts_follow_size: Whether the pixels of pads and jitters belong to `size` and grow
            and shrink with the picture.
        draws: Transformed pictures that one step averages over.
        replicates: Pictures of each unit, made together from different starts; an objective
            with `diversity` in it makes them differ.
        optimizer: How the latent is updated.
        texture: What is different for layers that see but a small part of the picture.
        level_signals: Whether signals (of one row) have a mean of 0 and one energy, as
            `Fourier.standardise` gives them. An image has black and white; a recording's range
            only says what never occurs, and what fills it is a square wave, or flat.
        redirect: Steps at the start whose gradients pass through closed activations.
        stop: When a unit counts as converged; None takes all steps.
        keep: Whether the result is the last iterate or the best.
        rescue: Whether units without a gradient are tried again in other ways.
        display: How the result is shown.
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
        if self.keep_transformed and self.parameterization.kind != "pixel":
            raise ValueError("only the pixels of a picture can be kept as transforms leave them")
        if self.replicates == 1 and any(p.kind == "diversity" for p in self.objective.parts()):
            raise ValueError(
                "diversity compares several pictures of a unit: give 2 replicates or more "
                "(--replicates 4)"
            )
        return self

    def override(self, **changes: Any) -> Preset:
        """The same preset with fields replaced; None leaves a field as it is.

        Raises:
            ConfigError: Naming the field and what is wrong with its value.

        Example:
            >>> from jaxviz import PRESETS
            >>> PRESETS["keras-io"].override(steps=5, size=None).steps
            5
        """
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return self._made({**fields, **{n: v for n, v in changes.items() if v is not None}})

    def change(self, *assignments: str) -> Preset:
        """The same preset with single values changed, however deep they lie.

        Args:
            assignments: `FIELD=VALUE`, where FIELD is a path such as `transforms.0.amount`
                and VALUE is JSON, or a plain word.

        Raises:
            ConfigError: If there is no such field or it cannot have this value.

        Example:
            >>> from jaxviz import PRESETS
            >>> PRESETS["keras-io"].change("objective.trim=3", "stop=null").objective.trim
            3
        """
        document = self.model_dump(mode="json")
        for assignment in assignments:
            path, equals, text = assignment.partition("=")
            if not equals:
                raise ConfigError(
                    f"{assignment!r} is not an assignment",
                    hint="Expected FIELD=VALUE, such as transforms.0.amount=8.",
                )
            _assign(document, path.strip(), _parsed(text.strip()))
        return self._made(document)

    def at(self, side: int, field: int | None = None, *, signal: bool = False) -> Preset:
        """The same preset with what depends on the picture and the layer worked out.

        Args:
            side: Of the picture, in pixels.
            field: The layer's receptive field, in pixels; None is all of the picture.
            signal: Whether the picture is of one row.
        """
        # a neuron stays where it is, so the picture must not be moved from under it
        fixed = any(part.kind == "neuron" for part in self.objective.parts())
        share = 1.0
        if self.amounts_follow_size and self.size is not None:
            share = side / self.size
        transforms = []
        for transform in self.transforms:
            if isinstance(transform, (Pad, Jitter, Crop)):
                amount = max(1, int(transform.amount * share))
                if isinstance(transform, Jitter) and fixed:
                    amount = max(1, min(amount, (field or side) // 8))
                elif isinstance(transform, Jitter) and transform.roam and field is not None:
                    amount = max(amount, min(side - field, side // 2))
                transform = transform.model_copy(update={"amount": amount})
            transforms.append(transform)
        made = self.override(transforms=tuple(transforms))
        if self.texture and field is not None and field <= self.texture.share * side:
            made = made._of_texture(self.texture)
        latent = self.parameterization
        if isinstance(latent, Fourier):
            changes: dict[str, Any] = {}
            if latent.within_field and field is not None:
                changes["coarsest"] = float(max(_NARROWEST, min(field, side)))
            if signal and self.level_signals:
                changes["standardise"] = True
            made = made.override(parameterization=latent.model_copy(update=changes))
        return made

    @property
    def stays_without_gradient(self) -> bool:
        """Whether a picture that has no gradient at first never has one: nothing is drawn at
        random, the objective is the same from first to last, and only gradients move it.

        Example:
            >>> from jaxviz import PRESETS
            >>> PRESETS["keras-io"].stays_without_gradient, PRESETS["lucid"].stays_without_gradient
            (True, False)
        """
        changing = any(getattr(p, "trim_until", 1.0) < 1 for p in self.objective.parts())
        drawn = self.transforms or changing or self.redirect
        return not drawn and self.optimizer.optimizer.name in _MOVED_BY_GRADIENTS

    def _of_texture(self, texture: Texture) -> Preset:
        transforms: list[AnyTransform] = []
        for transform in self.transforms:
            if isinstance(transform, Jitter):
                fade = transform.fade * texture.search
                transforms.append(transform.model_copy(update={"fade": fade}))
            elif not (isinstance(transform, Scale) and transform.fade):
                transforms.append(transform)
        objective, optimizer = self.objective, self.optimizer
        if isinstance(objective, Channel) and objective.trim_until < 1:
            until = objective.trim_until * texture.search
            objective = objective.model_copy(update={"trim_until": until})
        rate = {"learning_rate": optimizer.learning_rate * texture.step}
        optimizer = optimizer.model_copy(update=rate)
        return self.override(transforms=tuple(transforms), objective=objective, optimizer=optimizer)

    def fields_text(self) -> str:
        """Every field on a line of its own, as `change` takes it."""
        lines: list[str] = []
        _flatten(self.model_dump(mode="json", exclude={"name", "about", "source"}), "", lines)
        return "\n".join(lines)

    def _made(self, fields: dict[str, Any]) -> Preset:
        try:
            return Preset(**fields)
        except ValidationError as error:
            details = [_problem(e["loc"], e["msg"]) for e in error.errors()]
            raise ConfigError(
                f"preset {self.name!r} cannot be changed so", details=details
            ) from error


def _problem(where: tuple[Any, ...], message: str) -> str:
    """What does not fit, and where if it is one field."""
    path = ".".join(map(str, where))
    return f"{path}: {message}" if path else message.removeprefix("Value error, ")


def _assign(document: Any, path: str, value: Any) -> None:
    """Set the value at a path of names and numbers."""
    *parents, last = path.split(".")
    place = document
    for part in [*parents, last]:
        if isinstance(place, list) and part.isdigit() and int(part) < len(place):
            key: Any = int(part)
        elif isinstance(place, dict) and part in place:
            key = part
        else:
            known = place if isinstance(place, dict) else []
            many = range(len(place)) if isinstance(place, list) else known
            raise ConfigError(
                f"a preset has no field {path!r}",
                hint=nearest(part, known) or f"At {part!r} it has: {', '.join(map(str, many))}.",
            )
        parent, place = place, place[key]
    parent[key] = value


def _flatten(value: Any, path: str, lines: list[str]) -> None:
    """One `path=value` for every leaf."""
    if isinstance(value, dict) and value:
        for key, below in value.items():
            _flatten(below, f"{path}.{key}" if path else key, lines)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, below in enumerate(value):
            _flatten(below, f"{path}.{number}", lines)
    else:
        lines.append(f"    {path}={json.dumps(value, ensure_ascii=False)}")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {"True": True, "False": False, "None": None}.get(text, text)
