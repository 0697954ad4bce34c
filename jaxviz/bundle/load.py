"""Open a model from wherever it is: a bundle, or a file that an installed converter reads."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxviz.bundle import Bundle
from jaxviz.bundle import store as bundles
from jaxviz.errors import ModelFileError

if TYPE_CHECKING:
    pass

#: Packages that can read model files register a module under this entry point group. It has
#: `recognises(path) -> bool` and `convert_file(path, *, weights, until, trust) -> Bundle`.
CONVERTERS = "jaxviz.converters"


def load_bundle(
    path: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = None,
    until: str | None = None,
    trust: bool = False,
) -> Bundle:
    """The spec and weights of a bundle or a model file, without building a Flax model.

    Args:
        path: A bundle or a model file.
        weights: A file of weights, where the model file holds only the architecture.
        until: Keep only what this layer needs.
        trust: Allow formats that can run what is in them (a SavedModel).
    """
    path = Path(path)
    if not path.exists():
        raise ModelFileError(f"there is no file {str(path)!r}")
    if bundles.is_bundle(path):
        return bundles.load(path)
    for converter in converters():
        if converter.recognises(path):
            return converter.convert_file(
                path,
                weights=None if weights is None else Path(weights),
                until=until,
                trust=trust,
            )
    names = ", ".join(e.name for e in entry_points(group=CONVERTERS)) or "none"
    raise ModelFileError(
        f"{str(path)!r} is not a model that can be read",
        hint=f"Expected a bundle or a file that an installed converter knows (installed: {names}).",
    )


def load_function(target: str, *, until: str | None = None) -> Bundle:
    """The live model that a function of the user's returns, converted.

    Args:
        target: `module:function`; it is imported and called, so it must come from the user
            and never from a file or a recipe.
        until: Keep only what this layer needs.

    Raises:
        ModelFileError: If no installed converter takes live models, or there is no function.
    """
    for converter in converters():
        if hasattr(converter, "from_function"):
            return converter.from_function(target, until=until)
    raise ModelFileError("no converter that takes live models is installed")


def converters() -> list[Any]:
    """The installed converter modules."""
    return [entry.load() for entry in entry_points(group=CONVERTERS)]


def verifier() -> Any:
    """The `verify` module of the first installed converter that has one.

    Raises:
        ModelFileError: If none is installed.
    """
    for converter in converters():
        if hasattr(converter, "verify"):
            return converter.verify
    raise ModelFileError("no converter that can verify is installed")


def example(name: str) -> Path:
    """Path of a file that comes with jaxviz: the galaxy classifier or one of its images.

    Example:
        >>> example("galaxy_cnn.keras").name
        'galaxy_cnn.keras'
    """
    path = Path(__file__).parents[1] / "data" / name
    if not path.exists():
        held = ", ".join(sorted(p.name for p in path.parent.iterdir() if p.suffix != ".py"))
        raise ModelFileError(f"jaxviz brings no example {name!r}", hint=f"It has: {held}.")
    return path
