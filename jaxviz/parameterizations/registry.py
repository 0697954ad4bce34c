"""Every parameterization by its `kind`, found by its class: a new one is one file here."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from jaxviz._util.parts import kinds_of, modules_of, union_of
from jaxviz.parameterizations.base import Parameterization

#: Every parameterization by the `kind` that a preset names; listings have this order.
PARAMETERIZATIONS: dict[str, type[Parameterization]] = kinds_of(
    Parameterization,
    modules_of("jaxviz.parameterizations", besides=("registry",)),
    listed=("pixel", "fourier", "phase"),
)

if TYPE_CHECKING:
    AnyParameterization: TypeAlias = Parameterization
else:
    #: A parameterization as a field of a document, told apart by `kind`.
    AnyParameterization = union_of(PARAMETERIZATIONS)
