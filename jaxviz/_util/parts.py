"""Parts that are found by their class, so that a new part is one new file in its package."""

from __future__ import annotations

import importlib
import operator
import pkgutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import reduce
from types import ModuleType
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field

Part = TypeVar("Part", bound=BaseModel)
Value = TypeVar("Value")


def modules_of(package: str, *, besides: Collection[str] = ()) -> list[ModuleType]:
    """Import the modules of a package.

    Args:
        package: Full name of the package.
        besides: Names of modules that hold no parts.

    Returns:
        The modules in alphabetical order.

    Example:
        >>> [module.__name__ for module in modules_of("jaxviz.spec.ops")][:2]
        ['jaxviz.spec.ops.conv', 'jaxviz.spec.ops.einsum']
    """
    home = importlib.import_module(package)
    names = sorted(module.name for module in pkgutil.iter_modules(home.__path__))
    return [importlib.import_module(f"{package}.{name}") for name in names if name not in besides]


def kinds_of(
    base: type[Part], modules: Iterable[ModuleType], *, listed: Sequence[str] = ()
) -> dict[str, type[Part]]:
    """Classes by the `kind` that they have in a document.

    Classes without a `kind` of their own are bases of others, and left out.

    Args:
        base: The class that all of them derive from.
        modules: Modules that define the classes.
        listed: Kinds that come first, in this order. Others follow in the order of definition.

    Raises:
        ValueError: If two classes have one `kind`, or a kind in `listed` does not exist.

    Example:
        >>> from jaxviz.transforms import base, pixels
        >>> list(kinds_of(base.Transform, [pixels], listed=["noise"]))
        ['noise', 'rotate']
    """
    found: dict[str, type[Part]] = {}
    for module in modules:
        for value in vars(module).values():
            if not isinstance(value, type) or not issubclass(value, base):
                continue
            kind = value.model_fields["kind"].default
            if value.__module__ != module.__name__ or not isinstance(kind, str):
                continue
            if kind in found:
                raise ValueError(f"two classes have the kind {kind!r}: {found[kind]} and {value}")
            found[kind] = value
    if missing := set(listed) - set(found):
        raise ValueError(f"no class has the kinds {sorted(missing)}")
    return {kind: found[kind] for kind in (*listed, *(k for k in found if k not in listed))}


def union_of(kinds: Mapping[str, type[Part]]) -> Any:
    """The type of a document's field that holds a part of any kind, told apart by `kind`.

    A type checker cannot follow it, and should be given the parts' base instead.

    Example:
        >>> from pydantic import TypeAdapter
        >>> from jaxviz.transforms import TRANSFORMS
        >>> adapter = TypeAdapter(union_of(TRANSFORMS))
        >>> adapter.validate_python({"kind": "crop", "amount": 4})
        Crop(kind='crop', amount=4)
    """
    return Annotated[reduce(operator.or_, kinds.values()), Field(discriminator="kind")]


def values_of(kind: type[Value], modules: Iterable[ModuleType]) -> list[Value]:
    """Values of a class that modules define by name, in the order of definition.

    Example:
        >>> from jaxviz.presets import own
        >>> from jaxviz.presets.preset import Preset
        >>> [preset.name for preset in values_of(Preset, [own])]
        ['robust']
    """
    return [
        value for module in modules for value in vars(module).values() if isinstance(value, kind)
    ]
