"""The base of every objective, and the arithmetic that combines objectives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import jax
import numpy as np
from pydantic import BaseModel, ConfigDict

from jaxviz.objectives.activations import Activations
from jaxviz.spec import Shape

if TYPE_CHECKING:
    # Where a program runs, `registry` puts the union of all kinds here, told apart by `kind`.
    AnyObjective: TypeAlias = "Objective"


class Objective(BaseModel):
    """Activations → one number, always maximised; a value with arithmetic.

    An objective that leaves out its layer or channel means those of the unit whose picture is
    made, so that one objective serves every unit of an atlas. Penalties are objectives that
    are subtracted.

    Attributes:
        kind: The objective's name in a document.

    Example:
        >>> from jaxviz.objectives import Channel, TotalVariation
        >>> print(Channel(trim=2) - 0.1 * TotalVariation())
        channel − 0.1·total variation
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    #: Fields that may be given without their name where an objective is written as text.
    places: ClassVar[tuple[str, ...]] = ()
    #: Whether the objective looks at one position, from which no transform may move the picture.
    holds_position: ClassVar[bool] = False
    #: Whether the objective compares the replicates of one unit.
    compares_replicates: ClassVar[bool] = False
    kind: str

    def value(self, activations: Activations) -> jax.Array:
        """Evaluate the objective for one image.

        Args:
            activations: The network's activations for the image.

        Returns:
            A scalar.
        """
        raise NotImplementedError

    def layers(self) -> tuple[str | None, ...]:
        """Names of the layers that `value` reads; None is the unit's own layer."""
        return ()

    def parts(self) -> tuple[Objective, ...]:
        """The objectives that arithmetic combined into this one; itself where none did."""
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
            At least 1 where the layer has a channel.

        Example:
            >>> from jaxviz.objectives import Channel, Direction
            >>> Channel().units(16), Direction(vector=((1.0, 0.0), (0.0, 1.0))).units(16)
            (16, 2)
        """
        fixed = self.fixed_units()
        return channels if fixed is None else fixed

    def check(self, layer: str, shapes: Mapping[str, Shape]) -> None:
        """Raise an error if a layer lacks something that the objective reads.

        Args:
            layer: The unit's layer.
            shapes: Shape of every layer in `layers()`, without the batch axis.

        Raises:
            ConfigError: If, for example, a neuron's position lies outside its layer's map.
        """

    def rescue_layer(self, layer: str) -> str | None:
        """Layer whose pre-activation can rescue a dead unit; None where none can.

        An objective that returns a layer gives the maximum pre-activation of that layer the
        weight `Activations.pre_activation_weight` in `value`.

        Args:
            layer: The unit's layer.
        """
        return None

    @property
    def leaks(self) -> bool:
        """Whether the pre-activation has a weight in `value` from the first step on."""
        return False

    @property
    def changes(self) -> bool:
        """Whether `value` depends on the progress of the ascent."""
        return False

    def for_texture(self, search: float) -> Objective:
        """The objective for a layer that sees a small part of a picture.

        Args:
            search: Factor (0 to 1) for a share of the ascent that looks for a composition.
        """
        return self

    def with_images(self, read: Callable[[str], np.ndarray]) -> Objective:
        """The objective with the pixels of every image that it only names.

        Args:
            read: Reads an image by the name of its file, [height, width, channels] in the
                network's input units.
        """
        return self

    def score(self) -> Objective | None:
        """The part that measures a picture, without penalties and leaks; None if nothing does."""
        return self

    def __add__(self, other: AnyObjective) -> Sum:
        """The sum of two objectives."""
        return Sum(terms=(*_terms(self), *_terms(other)))

    def __sub__(self, other: AnyObjective) -> Sum:
        """The difference of two objectives."""
        return self + (-other)

    def __neg__(self) -> Objective:
        """The negative: maximised where the objective is minimal."""
        return self * -1.0

    def __mul__(self, other: float | AnyObjective) -> Scaled | Product:
        """A multiple of the objective, or the product of two objectives."""
        if isinstance(other, Objective):
            return Product(terms=(self, other))
        return Scaled(factor=float(other), term=self)

    __rmul__ = __mul__


class _Several(Objective):
    """An objective of several terms."""

    terms: tuple[AnyObjective, ...]

    def layers(self) -> tuple[str | None, ...]:
        """The layers of all terms."""
        return tuple(name for term in self.terms for name in term.layers())

    def parts(self) -> tuple[Objective, ...]:
        """The parts of all terms."""
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
        """The terms with the pixels of every image that they only name."""
        terms = tuple(term.with_images(read) for term in self.terms)
        return self.model_copy(update={"terms": terms})


class Sum(_Several):
    """The sum of several objectives; `+` and `-` make it.

    Attributes:
        terms: The objectives.

    Example:
        >>> from jaxviz.objectives import Channel, Layer
        >>> print(Channel() + Layer() - 2 * Layer(layer="conv1"))
        channel + layer − 2·layer conv1
    """

    kind: Literal["sum"] = "sum"

    def value(self, activations: Activations) -> jax.Array:
        """The sum of all terms, a scalar."""
        first, *others = self.terms
        return sum((term.value(activations) for term in others), first.value(activations))

    def score(self) -> Objective | None:
        """The sum of the terms that measure a picture."""
        kept = [s for s in (term.score() for term in self.terms) if s is not None]
        if len(kept) < 2:
            return kept[0] if kept else None
        return Sum(terms=tuple(kept))

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
    """A multiple of an objective; `*` with a number makes it. A negative multiple is minimised.

    Attributes:
        factor: What the term is multiplied with.
        term: The objective.

    Example:
        >>> from jaxviz.objectives import Channel
        >>> print(3 * (2 * Channel()))
        6·channel
    """

    kind: Literal["scaled"] = "scaled"
    factor: float
    term: AnyObjective

    def value(self, activations: Activations) -> jax.Array:
        """Factor times the term, a scalar."""
        return self.factor * self.term.value(activations)

    def layers(self) -> tuple[str | None, ...]:
        """The term's layers."""
        return self.term.layers()

    def parts(self) -> tuple[Objective, ...]:
        """The term's parts."""
        return self.term.parts()

    def fixed_units(self) -> int | None:
        """Number of units that the term fixes; None where every channel is one unit."""
        return self.term.fixed_units()

    def check(self, layer: str, shapes: Mapping[str, Shape]) -> None:
        """Check the term."""
        self.term.check(layer, shapes)

    def with_images(self, read: Callable[[str], np.ndarray]) -> Objective:
        """The term with the pixels of every image that it only names."""
        return self.model_copy(update={"term": self.term.with_images(read)})

    def score(self) -> Objective | None:
        """The multiple of the term's part that measures a picture."""
        kept = self.term.score()
        return None if kept is None else Scaled(factor=self.factor, term=kept)

    def __mul__(self, other: float | AnyObjective) -> Scaled | Product:
        """One factor instead of two, or a product."""
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
    """The product of several objectives; `*` between two objectives makes it.

    Attributes:
        terms: The objectives.

    Example:
        >>> from jaxviz.objectives import Channel, Layer
        >>> print(Channel(channel=1) * (Channel(channel=2) + Layer()))
        channel 1 · (channel 2 + layer)
    """

    kind: Literal["product"] = "product"

    def value(self, activations: Activations) -> jax.Array:
        """The product of all terms, a scalar."""
        result = self.terms[0].value(activations)
        for term in self.terms[1:]:
            result = result * term.value(activations)
        return result

    def __str__(self) -> str:
        """All terms."""
        return " · ".join(f"({t})" if isinstance(t, Sum) else str(t) for t in self.terms)


def _terms(objective: Objective) -> tuple[Objective, ...]:
    return objective.terms if isinstance(objective, Sum) else (objective,)
