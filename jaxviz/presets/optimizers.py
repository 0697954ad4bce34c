"""Optax optimizers, schedules and gradient transformations by name.

Optax makes every update of a picture. Optax minimises, so the ascent gives it the gradient of
minus the score.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from types import FunctionType
from typing import Any, Literal, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree
from pydantic import BaseModel, ConfigDict, Field

from jaxviz.errors import ConfigError, nearest

#: A value that an argument of an optimizer may have.
Number = bool | int | float | str
#: The gradient of a latent, or its update.
_Updates: TypeAlias = PyTree[jax.Array]
_Made = TypeVar("_Made")


class Call(BaseModel):
    """A name and its arguments, such as `adam` or `adam:b1=0.8,nesterov=True`.

    Attributes:
        name: Name of a function of Optax.
        arguments: Its arguments by name.

    Example:
        >>> Call(name="adam", arguments={"b1": 0.8}) == Call.parse("adam:b1=0.8")
        True
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    name: str
    arguments: dict[str, Number] = Field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Call:
        """Read a call as the command line has it.

        Args:
            text: `NAME`, or `NAME:KEY=VALUE,…`.

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
        optimizer: An Optax optimizer with its arguments, but without the learning rate.
        learning_rate: Length of a step, in the preset's units.
        schedule: An Optax schedule of the learning rate, which starts at `learning_rate`.
        gradient: Scaling of each picture's gradient: `none`, to length 1 (`l2`, as in the
            published recipe), or to root mean square 1 (`rms`).
        clip: An Optax transformation of the scaled gradient with its arguments, such as
            `clip_by_global_norm:max_norm=1`. Each picture is clipped by itself.

    Example:
        >>> config = OptimizerConfig(optimizer=Call.parse("adam:b1=0.8"), learning_rate=0.05)
        >>> config.optimizer.arguments
        {'b1': 0.8}
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    optimizer: Call = Call(name="sgd")
    learning_rate: float = Field(gt=0)
    schedule: Call | None = None
    gradient: Literal["none", "l2", "rms"] = "none"
    clip: Call | None = None

    def build(self, steps: int = 1) -> optax.GradientTransformationExtraArgs:
        """Make the Optax transformation.

        Args:
            steps: Number of updates, which the word `steps` stands for in a schedule's arguments.

        Raises:
            ConfigError: If Optax lacks the optimizer, the schedule or an argument.

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
    """Scale a gradient to length 1, as TensorFlow's `l2_normalize` does.

    g · rsqrt(max(Σ g², ε)): a gradient of zero stays zero. The ascent is vmapped, so each
    picture of a batch has its own scale.

    Args:
        epsilon: Least squared length that is divided by.

    Example:
        >>> scale = normalize_by_l2()
        >>> scale.update(jnp.array([3.0, 4.0]), scale.init(None))[0].tolist()
        [0.6000000238418579, 0.800000011920929]
    """

    def update(
        updates: _Updates, state: optax.EmptyState, params: _Updates | None = None
    ) -> tuple[_Updates, optax.EmptyState]:
        squares = sum(jnp.sum(jnp.square(g)) for g in jax.tree.leaves(updates))
        scale = jax.lax.rsqrt(jnp.maximum(squares, epsilon))
        return jax.tree.map(lambda g: g * scale, updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def normalize_by_rms(epsilon: float = 1e-12) -> optax.GradientTransformation:
    """Scale a gradient to root mean square 1, so that a step does not depend on the image size.

    Args:
        epsilon: Least mean square that is divided by.

    Example:
        >>> scale = normalize_by_rms()
        >>> scale.update(jnp.array([3.0, -3.0]), scale.init(None))[0].tolist()
        [1.0, -1.0]
    """

    def update(
        updates: _Updates, state: optax.EmptyState, params: _Updates | None = None
    ) -> tuple[_Updates, optax.EmptyState]:
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
    # L-BFGS evaluates the objective itself, because it searches along a line.
    if not name.startswith("scale_by") and name != "lbfgs"
}

_CLIPS = {
    name: getattr(optax, name)
    for name in (
        "clip", "clip_by_global_norm", "clip_by_block_rms", "adaptive_grad_clip",
        "normalize_by_update_norm", "centralize", "zero_nans",
    )
}  # fmt: skip


def _lookup(what: str, name: str, known: Mapping[str, _Made]) -> _Made:
    if name not in known:
        raise ConfigError(
            f"Optax has no {what} {name!r}",
            hint=nearest(name, known) or f"It has: {', '.join(sorted(known))}.",
        )
    return known[name]


def _call(what: str, make: Callable[..., _Made], call: Call, *first: object) -> _Made:
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
