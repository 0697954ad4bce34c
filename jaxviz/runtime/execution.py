"""How a layer's units are computed, as one frozen document.

The manifest of an atlas keeps the document of every layer. A continued run, or another
process, is handed the same value and rounds the same.
"""

from __future__ import annotations

from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
)

Dtype = Literal["float32", "bfloat16"]
#: How much a compile is worth on a CPU. `all` suits programs that run for minutes. `some` compiles
#: a third sooner and most steps are as fast. `little` is for programs that run once.
Effort = Literal["all", "some", "little"]

#: Least cosine between a gradient in bfloat16 and the exact one.
LEAST_COSINE = 0.9
#: Largest ratio of bfloat16's error (1 - cosine) to that of the platform's own float32.
TIMES_OWN = 2.0


class Fidelity(BaseModel):
    """How close gradients in bfloat16 are to exact ones on one layer, at the starting pictures.

    Attributes:
        cosine: 10th percentile, over units, of the cosine between the two gradients; 1 where
            no unit has a gradient.
        score: 90th percentile of the relative difference of the objective.
        units: How many units with a gradient were compared.
        own: The same percentile for the platform's own float32. A TPU multiplies float32 in
            bfloat16. None where `cosine` alone decides.
    """

    model_config = ConfigDict(frozen=True)
    cosine: float
    score: float
    units: int
    own: float | None = None

    @property
    def close(self) -> bool:
        """Whether bfloat16 may be used.

        Either the cosine reaches `LEAST_COSINE`, or the error is at most `TIMES_OWN` that of
        the platform's float32. In the second case float32 would double the memory traffic and
        gain little.
        """
        near = self.own is not None and 1 - self.cosine <= TIMES_OWN * (1 - self.own)
        return self.cosine >= LEAST_COSINE or near

    def __str__(self) -> str:
        """The cosine, and the one of the platform's float32 where it was measured."""
        own = "" if self.own is None else f", of this platform's float32 {self.own:.4f}"
        return f"cosine of gradients {self.cosine:.4f}{own} over {self.units} units"


class Execution(BaseModel):
    """How the units of one layer are computed. Frozen; every decision returns a new one.

    Attributes:
        version: Of this document's schema.
        chunk: Units in one compiled call.
        lanes: Compiled calls at the same time, each in a thread of its own.
        implementations: The implementation of each node by name; `forms` on disk.
        dtype: What the network is computed in.
        tuned: Whether `chunk` is final; otherwise the first run measures it.
        effort: How much the step's compile is worth; None before the units are counted.
        fidelity: How close bfloat16 is to float32; None where it was not measured.
        did_not_fit: Chunks for which the device's memory turned out to be too small.

    Example:
        >>> kept = Execution(chunk=8, implementations={"conv1": "winograd"}).as_json()
        >>> kept["chunk"], kept["forms"]
        (8, {'conv1': 'winograd'})
        >>> Execution.model_validate(kept).chunk
        8
    """

    model_config = ConfigDict(frozen=True, extra="ignore", validate_by_name=True)
    version: Literal[1] = 1
    chunk: PositiveInt
    lanes: PositiveInt = 1
    implementations: dict[str, str] = Field(default_factory=dict, validation_alias="forms")
    dtype: Dtype = "float32"
    tuned: bool = True
    effort: Effort | None = None
    fidelity: Fidelity | None = None
    did_not_fit: tuple[PositiveInt, ...] = ()

    @model_serializer(mode="wrap")
    def _as_on_disk(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        fields: dict[str, object] = handler(self)
        fields["forms"] = fields.pop("implementations")
        return {name: value for name, value in fields.items() if value not in (None, (), [])}

    def as_json(self) -> dict[str, object]:
        """The document as JSON values, as it stands in a manifest."""
        return self.model_dump(mode="json")

    def changed(self, **fields: object) -> Execution:
        """The same with some fields replaced and checked."""
        return type(self)(**{**dict(self), **fields})  # type: ignore[arg-type]
