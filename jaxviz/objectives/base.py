"""What every objective can do: be evaluated, described, and combined with others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import jax
import numpy as np
from pydantic import BaseModel, ConfigDict

from jaxviz.spec import Shape

if TYPE_CHECKING:
    from jaxviz.objectives import AnyObjective
    from jaxviz.objectives.activations import Activations


class Objective(BaseModel):
    """Activations -> one number, always maximised; a value with arithmetic.

    Where an objective leaves out its layer or channel, it means those of the unit whose
    picture is being made, so that one objective serves every unit of an atlas. Penalties
    are objectives that are subtracted.

    Example:
        >>> from jaxviz.objectives import Channel, TotalVariation
        >>> print(Channel(trim=2) - 0.1 * TotalVariation())
        channel − 0.1·total variation
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    #: Fields that are given by place where an objective is written as text.
    places: ClassVar[tuple[str, ...]] = ()
    kind: str

    def value(self, seen: Activations) -> jax.Array:
        """The number, a scalar, for one image.

        Args:
            seen: What the network makes of the image.
        """
        raise NotImplementedError

    def layers(self) -> tuple[str | None, ...]:
        """Names of the layers that are looked at; None is the unit's own."""
        return ()

    def parts(self) -> tuple[Objective, ...]:
        """The plain objectives that it is made of."""
        return (self,)

    def fixed_units(self) -> int | None:
        """Number of units that the objective fixes; None where every channel is one unit.

        The engine asks `per_channel` and `units`, which follow from this.
        """
        return 1

    @property
    def per_channel(self) -> bool:
        """Whether every channel of a layer is one unit."""
        return self.fixed_units() is None

    def units(self, channels: int) -> int:
        """Number of units of a layer.

        Args:
            channels: Number of channels of the layer.

        Returns:
            At least 1, where the layer has a channel.

        Example:
            >>> from jaxviz.objectives import Channel, Direction
            >>> Channel().units(16), Direction(vector=((1.0, 0.0), (0.0, 1.0))).units(16)
            (16, 2)
        """
        fixed = self.fixed_units()
        return channels if fixed is None else fixed

    def check(self, layer: str, shapes: Mapping[str, Shape]) -> None:
        """Raise an error if a layer does not have what the objective asks for.

        Args:
            layer: The unit's layer.
            shapes: Shape of every layer in `layers()`, without the batch axis.

        Raises:
            ConfigError: If, for example, a neuron's position lies outside its layer's map.
        """

    def rescue_layer(self, layer: str) -> str | None:
        """Layer whose pre-activation can rescue a dead unit; None where none can.

        An objective that names a layer here adds a share of the pre-activation's maximum to
        `value`, where the unit's `Activations` ask for that share.

        Args:
            layer: The unit's layer.
        """
        return None

    @property
    def leaks(self) -> bool:
        """Whether `value` has a share of the pre-activation from the first step on."""
        return False

    def with_images(self, read: Callable[[str], np.ndarray]) -> Objective:
        """The same with every image that is only named read."""
        return self

    def score(self) -> Objective | None:
        """What of it measures the picture: the same without penalties and other helps."""
        return self

    def __add__(self, other: AnyObjective) -> Sum:
        """Both together."""
        return Sum(terms=(*_terms(self), *_terms(other)))

    def __sub__(self, other: AnyObjective) -> Sum:
        """This without the other."""
        return self + (-other)  # type: ignore[operator]

    def __neg__(self) -> Objective:
        """The opposite: least where this is most."""
        return self * -1.0

    def __mul__(self, other: float | AnyObjective) -> Scaled | Product:
        """A multiple of it, or the product of two."""
        if isinstance(other, Objective):
            return Product(terms=(self, other))  # type: ignore[arg-type]
        return Scaled(factor=float(other), term=self)  # type: ignore[arg-type]

    __rmul__ = __mul__


class _Several(Objective):
    """Made of several terms."""

    terms: tuple[AnyObjective, ...]

    def layers(self) -> tuple[str | None, ...]:
        """Those of all terms."""
        return tuple(name for term in self.terms for name in term.layers())

    def parts(self) -> tuple[Objective, ...]:
        """Those of all terms."""
        return tuple(part for term in self.terms for part in term.parts())

    def fixed_units(self) -> int | None:
        """The largest number among the terms; None where a term has one unit per channel."""
        counts = [term.fixed_units() for term in self.terms]
        return None if None in counts else max(n or 1 for n in counts)

    def check(self, layer: str, shapes: Mapping[str, Shape]) -> None:
        """Check every term."""
        for term in self.terms:
            term.check(layer, shapes)

    def with_images(self, read: Callable[[str], np.ndarray]) -> Objective:
        """The same with every image that is only named read."""
        terms = tuple(term.with_images(read) for term in self.terms)
        return self.model_copy(update={"terms": terms})


class Sum(_Several):
    """Several objectives added."""

    kind: Literal["sum"] = "sum"

    def value(self, seen: Activations) -> jax.Array:
        """The sum of all terms."""
        return sum((t.value(seen) for t in self.terms[1:]), self.terms[0].value(seen))

    def score(self) -> Objective | None:
        """The sum of those terms that measure the picture."""
        kept = [s for s in (term.score() for term in self.terms) if s is not None]
        if len(kept) < 2:
            return kept[0] if kept else None
        return Sum(terms=tuple(kept))  # type: ignore[arg-type]

    def __str__(self) -> str:
        """All terms with their signs."""
        text = str(self.terms[0])
        for term in self.terms[1:]:
            if isinstance(term, Scaled) and term.factor < 0:
                text += f" − {-term}"
            else:
                text += f" + {term}"
        return text


class Scaled(Objective):
    """A multiple of an objective; a negative one is minimised."""

    kind: Literal["scaled"] = "scaled"
    factor: float
    term: AnyObjective

    def value(self, seen: Activations) -> jax.Array:
        """Factor times the term."""
        return self.factor * self.term.value(seen)

    def layers(self) -> tuple[str | None, ...]:
        """Those of the term."""
        return self.term.layers()

    def parts(self) -> tuple[Objective, ...]:
        """Those of the term."""
        return self.term.parts()

    def fixed_units(self) -> int | None:
        """The term's number."""
        return self.term.fixed_units()

    def check(self, layer: str, shapes: Mapping[str, Shape]) -> None:
        """Check the term."""
        self.term.check(layer, shapes)

    def with_images(self, read: Callable[[str], np.ndarray]) -> Objective:
        """The same with every image that is only named read."""
        return self.model_copy(update={"term": self.term.with_images(read)})

    def score(self) -> Objective | None:
        """The same multiple of what measures the picture."""
        kept = self.term.score()
        return None if kept is None else Scaled(factor=self.factor, term=kept)  # type: ignore[arg-type]

    def __mul__(self, other: float | AnyObjective) -> Scaled | Product:
        """One factor instead of two."""
        if isinstance(other, Objective):
            return super().__mul__(other)
        return Scaled(factor=self.factor * float(other), term=self.term)

    __rmul__ = __mul__

    def __str__(self) -> str:
        """Factor and term."""
        term = f"({self.term})" if isinstance(self.term, Sum) else str(self.term)
        if self.factor in (1.0, -1.0):
            return term if self.factor > 0 else f"−{term}"
        return f"{self.factor:g}·{term}"


class Product(_Several):
    """Several objectives multiplied."""

    kind: Literal["product"] = "product"

    def value(self, seen: Activations) -> jax.Array:
        """The product of all terms."""
        result = self.terms[0].value(seen)
        for term in self.terms[1:]:
            result = result * term.value(seen)
        return result

    def __str__(self) -> str:
        """All terms."""
        return " · ".join(f"({t})" if isinstance(t, Sum) else str(t) for t in self.terms)


def _terms(objective: AnyObjective | Objective) -> tuple[AnyObjective, ...]:
    return objective.terms if isinstance(objective, Sum) else (objective,)  # type: ignore[return-value]
