"""Open a bundle, or a model file that an installed converter reads."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

from jaxviz.bundle import Bundle
from jaxviz.bundle import store as bundles
from jaxviz.errors import ModelFileError

#: Entry point group under which packages that read model files register a `Converter`.
CONVERTERS = "jaxviz.converters"


class Converter(Protocol):
    """A module that reads model files.

    It may also have `from_function(target, *, until) -> Bundle` for live models, and a module
    `verify` that compares a bundle with its source.
    """

    def recognises(self, path: Path) -> bool:
        """Whether a file looks like one that the converter reads."""

    def convert_file(
        self, path: Path, *, weights: Path | None, until: str | None, trust: bool
    ) -> Bundle:
        """The bundle of a model file; see `load_bundle` for the arguments."""


def load_bundle(
    path: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = None,
    until: str | None = None,
    trust: bool = False,
) -> Bundle:
    """Read the spec and weights of a bundle or a model file, without building a Flax model.

    Args:
        path: A bundle or a model file.
        weights: A file of weights, if the model file holds only the architecture.
        until: Name of a layer; later layers are left out.
        trust: Whether to read formats that can hold code (a SavedModel).

    Returns:
        The bundle.

    Raises:
        ModelFileError: If the file is missing, damaged, or of a format that nothing installed
            reads.

    Example:
        >>> load_bundle(example("galaxy_cnn.keras")).spec.convolutions[0]
        'conv1'
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
        f"cannot read {str(path)!r}: it is neither a bundle nor a known model file",
        hint=f"Expected a bundle, or a file for an installed converter (installed: {names}).",
    )


def load_function(target: str, *, until: str | None = None) -> Bundle:
    """Convert the live model that a user's function returns.

    Args:
        target: `module:function`. The function is imported and called, so its name must come from
            the user, never from a file or a recipe.
        until: Name of a layer; later layers are left out.

    Raises:
        ModelFileError: If no installed converter takes live models, or there is no function.
    """
    for converter in converters():
        if hasattr(converter, "from_function"):
            return cast(Bundle, converter.from_function(target, until=until))
    raise ModelFileError(
        f"cannot convert {target!r}: no installed converter takes live models",
        hint="Install one: pip install 'jaxviz-atlas[keras]'.",
    )


def converters() -> list[Converter]:
    """The installed converters."""
    return [entry.load() for entry in entry_points(group=CONVERTERS)]


def verifier() -> ModuleType:
    """The `verify` module of the first installed converter that has one.

    Raises:
        ModelFileError: If none is installed.
    """
    for converter in converters():
        if hasattr(converter, "verify"):
            return cast(ModuleType, converter.verify)
    raise ModelFileError(
        "cannot verify: no installed converter can",
        hint="Install one: pip install 'jaxviz-atlas[keras]'.",
    )


def example(name: str) -> Path:
    """Path of a file bundled with jaxviz: the galaxy classifier or one of its images.

    Args:
        name: Name of the file.

    Returns:
        The file's path; inside the package, so read it and never write it.

    Raises:
        ModelFileError: If there is no such file; the message lists the files.

    Example:
        >>> example("galaxy_cnn.keras").name
        'galaxy_cnn.keras'
    """
    path = Path(__file__).parents[1] / "data" / name
    if not path.exists():
        held = ", ".join(sorted(p.name for p in path.parent.iterdir() if p.suffix != ".py"))
        raise ModelFileError(f"there is no bundled example {name!r}", hint=f"There are: {held}.")
    return path
