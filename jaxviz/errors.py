"""Every error that jaxviz raises on purpose.

    JaxvizError
    ├── ModelFileError      the file is missing, damaged, or not a model
    ├── ConversionError     the file is a model, but parts of it cannot be converted
    ├── SpecError           an architecture (or a bundle that holds one) is inconsistent
    ├── LayerError          no such layer, channel or tap
    ├── ImageSizeError      an image too small, or of the wrong shape, for a layer
    ├── ConfigError         a preset, option or optimizer that does not exist or fit
    ├── MemoryLimitError    not even one picture fits into a device's memory
    ├── RecipeError         a recipe file, with key and line
    └── AtlasError          an atlas folder cannot be made, read or continued
        ├── AtlasMismatchError  the folder holds another model, recipe or seed
        └── AtlasLockedError    another run is working on the folder

A message says what failed and on what, then every offender on a line of its own
with what was found and what was expected, then what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class JaxvizError(Exception):
    """Base of all expected errors; the command line prints them without a traceback.

    Args:
        summary: One line: what failed, and on what.
        details: The offenders, one line each, every one of them.
        hint: What the user can do about it.

    Example:
        >>> print(JaxvizError("cannot read 'a.keras'", details=["b: missing"], hint="try again"))
        cannot read 'a.keras'
          b: missing
        try again
    """

    def __init__(self, summary: str, *, details: Sequence[str] = (), hint: str = "") -> None:
        self.summary = summary
        self.details = tuple(details)
        self.hint = hint
        lines = [summary, *(f"  {line}" for line in self.details), *([hint] if hint else [])]
        super().__init__("\n".join(lines))


class ModelFileError(JaxvizError):
    """The file is missing, damaged, or not a model file."""


class ConversionError(JaxvizError):
    """The model holds something that has no exact equivalent."""


class SpecError(JaxvizError):
    """An architecture contradicts itself or its weights."""


class LayerError(JaxvizError):
    """A layer or channel that the model does not have."""


class ImageSizeError(JaxvizError):
    """An image does not fit the layers it has to pass through."""


class ConfigError(JaxvizError):
    """An option, preset or optimizer that does not exist or does not fit."""


class MemoryLimitError(JaxvizError):
    """A device's memory is too small for the least that can be asked of it."""


class RecipeError(JaxvizError):
    """A recipe file with a mistake in it."""


class AtlasError(JaxvizError):
    """An atlas folder cannot be made, read or continued."""


class AtlasMismatchError(AtlasError):
    """The folder already holds an atlas of something else."""


class AtlasLockedError(AtlasError):
    """Another run is working on the same folder."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that offers the known names closest to a mistyped one, or nothing.

    Example:
        >>> nearest("block1_cnv2", ["block1_conv1", "block1_conv2", "fc"])
        'Did you mean block1_conv2 or block1_conv1?'
    """
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(close)}?" if close else ""
