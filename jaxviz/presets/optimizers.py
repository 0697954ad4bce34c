"""Optax optimizers, schedules and gradient transformations by name.

Every update of a picture is an Optax transformation; nothing here steps by itself. Optax
minimises, so the ascent hands it the gradient of minus the score.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from types import FunctionType
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from pydantic import BaseModel, ConfigDict, Field

from jaxviz.errors import ConfigError, nearest

Number = bool | int | float | str


class Call(BaseModel):
    """A name and its arguments, as in `adam` or `adam:b1=0.8,nesterov=True`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    name: str
    arguments: dict[str, Number] = Field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Call:
        """Read the command line's form.

        Raises:
            ConfigError: If an argument is not KEY=VALUE.

        Example:
            >>> Call.parse("adam:b1=0.8,nesterov=True").arguments
            {'b1': 0.8, 'nesterov': True}
        """
        name, _, rest = text.partition(":")
        arguments: dict[str, Number] = {}
        for part in filter(None, rest.split(",")):
            key, equals, value = part.partition("=")
            if not equals:
                raise ConfigError(f"{text!r}: expected NAME:KEY=VALUE,…, found {part!r}")
            try:
                arguments[key.strip()] = ast.literal_eval(value.strip())
            except (ValueError, SyntaxError):
                arguments[key.strip()] = value.strip()
        return cls(name=name.strip(), arguments=arguments)


class OptimizerConfig(BaseModel):
    """How one picture is updated.

    Attributes:
        optimizer: An Optax optimizer with its arguments but the learning rate.
        learning_rate: The step, in the preset's units of the image.
        schedule: An Optax schedule that the learning rate goes through; it is its first value.
        gradient: What is done to each picture's own gradient first: nothing, scaled to
            length 1 (`l2`, as the published recipe), or to root mean square 1 (`rms`).
        clip: What is done to it next, an Optax transformation with its arguments, such as
            `clip_by_global_norm:max_norm=1`; each picture is clipped by itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    optimizer: Call = Call(name="sgd")
    learning_rate: float = Field(gt=0)
    schedule: Call | None = None
    gradient: Literal["none", "l2", "rms"] = "none"
    clip: Call | None = None

    def build(self, steps: int = 1) -> optax.GradientTransformationExtraArgs:
        """The Optax transformation.

        Args:
            steps: Updates in all; a schedule's argument `steps` (the word) stands for them.

        Raises:
            ConfigError: If Optax has no such optimizer or schedule, or not those arguments.

        Example:
            >>> config = OptimizerConfig(learning_rate=10.0, gradient="l2")
            >>> optimizer = config.build()
            >>> image = jnp.zeros((2, 2, 1))
            >>> updates, _ = optimizer.update(-jnp.ones((2, 2, 1)), optimizer.init(image), image)
            >>> float(updates[0, 0, 0])
            5.0
        """
        rate: float | optax.Schedule = self.learning_rate
        if self.schedule is not None:
            make = _lookup("schedule", self.schedule.name, _SCHEDULES)
            given = self.schedule.arguments
            known = {key: steps if value == "steps" else value for key, value in given.items()}
            schedule = self.schedule.model_copy(update={"arguments": known})
            rate = _call("schedule", make, schedule, self.learning_rate)
        make = _lookup("optimizer", self.optimizer.name, _OPTIMIZERS)
        optimizer = _call("optimizer", make, self.optimizer, rate)
        before = {"none": [], "l2": [normalize_by_l2()], "rms": [normalize_by_rms()]}
        clips = []
        if self.clip is not None:
            make = _lookup("way of clipping", self.clip.name, _CLIPS)
            clips.append(_call("way of clipping", make, self.clip))
        return optax.chain(*before[self.gradient], *clips, optimizer)


def normalize_by_l2(epsilon: float = 1e-12) -> optax.GradientTransformation:
    """Scale a gradient to length 1 as TensorFlow's `l2_normalize` does.

    g · rsqrt(max(Σ g², ε)): a gradient of zero stays zero. Within a batch this is
    applied per picture (the ascent is vmapped), so pictures never influence each other.
    """

    def update(updates: Any, state: optax.EmptyState, params: Any = None) -> Any:
        squares = sum(jnp.sum(jnp.square(g)) for g in jax.tree.leaves(updates))
        scale = jax.lax.rsqrt(jnp.maximum(squares, epsilon))
        return jax.tree.map(lambda g: g * scale, updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def normalize_by_rms(epsilon: float = 1e-12) -> optax.GradientTransformation:
    """Scale a gradient to root mean square 1, so that a step does not depend on the image size."""

    def update(updates: Any, state: optax.EmptyState, params: Any = None) -> Any:
        leaves = jax.tree.leaves(updates)
        mean = sum(jnp.sum(jnp.square(g)) for g in leaves) / sum(g.size for g in leaves)
        scale = jax.lax.rsqrt(jnp.maximum(mean, epsilon))
        return jax.tree.map(lambda g: g * scale, updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _functions(first: tuple[str, ...]) -> dict[str, Callable[..., Any]]:
    """Optax's public functions whose first parameter has one of these names."""
    found: dict[str, Callable[..., Any]] = {}
    for name, value in vars(optax).items():
        if isinstance(value, (FunctionType, partial)) and not name.startswith("_"):
            parameters = list(inspect.signature(value).parameters)
            if parameters and parameters[0] in first:
                found[name] = value
    return found


_SCHEDULES = {
    name: function
    for name, function in _functions(("init_value", "value", "peak_value")).items()
    if "schedule" in name or name.endswith("decay")
}
_OPTIMIZERS = {
    name: function
    for name, function in _functions(("learning_rate",)).items()
    # lbfgs searches along a line, for which it would have to evaluate the objective itself
    if not name.startswith("scale_by") and name != "lbfgs"
}

_CLIPS = {
    name: getattr(optax, name)
    for name in (
        "clip", "clip_by_global_norm", "clip_by_block_rms", "adaptive_grad_clip",
        "normalize_by_update_norm", "centralize", "zero_nans",
    )
}  # fmt: skip


def _lookup(what: str, name: str, known: Mapping[str, Any]) -> Callable[..., Any]:
    if name not in known:
        raise ConfigError(
            f"Optax has no {what} {name!r}",
            hint=nearest(name, known) or f"It has: {', '.join(sorted(known))}.",
        )
    return known[name]


def _call(what: str, make: Callable[..., Any], call: Call, *first: Any) -> Any:
    parameters = list(inspect.signature(make).parameters)[len(first) :]
    if unknown := set(call.arguments) - set(parameters):
        raise ConfigError(
            f"the {what} {call.name!r} has no argument {', '.join(map(repr, sorted(unknown)))}",
            hint=f"It has: {', '.join(parameters) or 'none'}.",
        )
    try:
        return make(*first, **call.arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the {what} {call.name!r} cannot be made: {error}") from error
