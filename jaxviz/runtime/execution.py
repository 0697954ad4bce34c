"""`Execution`: how one layer's units are computed, as a frozen document.

An atlas's manifest stores one for each layer. A continued run or another process gets the same
value, and so rounds in the same way.
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
#: Compile effort on a CPU. `all` suits programs that run for minutes. `some` compiles a third
#: faster, with most steps equally fast. `little` suits programs that run once.
Effort = Literal["all", "some", "little"]

#: Least cosine between a gradient in bfloat16 and the exact one.
LEAST_COSINE = 0.9
#: Largest ratio of errors (1 - cosine): bfloat16 / the platform's own float32.
TIMES_OWN = 2.0


class Fidelity(BaseModel):
    """How close bfloat16 is to exact float32 on one layer, for images like natural ones.

    Attributes:
        cosine: 10th percentile over units of the cosine between the two gradients; 1 if no
            unit has a gradient.
        score: 90th percentile over units of the relative difference of the objective.
        units: Number of compared units, which all have a gradient.
        own: `cosine` for the platform's own float32, because a TPU multiplies float32 in
            bfloat16. None if `cosine` alone decides.
    """

    model_config = ConfigDict(frozen=True)
    cosine: float
    score: float
    units: int
    own: float | None = None

    @property
    def close(self) -> bool:
        """Whether bfloat16 is close enough to be used.

        Either the cosine reaches `LEAST_COSINE`, or the error is at most `TIMES_OWN` times the
        error of the platform's float32. In the second case float32 would gain little accuracy
        and double the memory traffic.
        """
        near = self.own is not None and 1 - self.cosine <= TIMES_OWN * (1 - self.own)
        return self.cosine >= LEAST_COSINE or near

    def __str__(self) -> str:
        """The cosine, and the cosine of the platform's own float32 if it was measured."""
        own = "" if self.own is None else f", for this platform's own float32 {self.own:.4f}"
        return f"gradient cosine {self.cosine:.4f}{own}, over {self.units} units"


class Execution(BaseModel):
    """How the units of one layer are computed. Frozen; every decision returns a new value.

    Attributes:
        version: Version of this document's schema.
        chunk: Number of units in one compiled call.
        lanes: Number of compiled calls at the same time, each in its own thread.
        implementations: {node name: implementation name}; called `forms` on disk.
        dtype: Type of the network's arithmetic.
        tuned: Whether `chunk` is final; otherwise the first run tunes it.
        effort: Compile effort of the step; None before the number of units is known.
        fidelity: How close bfloat16 is to float32; None if it was not measured.
        did_not_fit: Chunks that ran out of the device's memory.

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
        """The document as JSON values, in the manifest's form."""
        return self.model_dump(mode="json")

    def changed(self, **fields: object) -> Execution:
        """A copy with some fields replaced and validated."""
        return type(self)(**{**dict(self), **fields})
