"""Every transform by its `kind`, found by its class: a new one is one file here."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from jaxviz._util.parts import kinds_of, modules_of, union_of
from jaxviz.transforms.base import Transform

#: Every transform by the `kind` that a preset names; listings have this order.
TRANSFORMS: dict[str, type[Transform]] = kinds_of(
    Transform,
    modules_of("jaxviz.transforms", besides=("registry",)),
    listed=(
        "pad", "jitter", "scale", "octaves", "rotate", "crop", "box", "blur", "flip", "noise",
    ),
)  # fmt: skip

if TYPE_CHECKING:
    AnyTransform: TypeAlias = Transform
else:
    #: A transform as a field of a document, told apart by `kind`.
    AnyTransform = union_of(TRANSFORMS)
