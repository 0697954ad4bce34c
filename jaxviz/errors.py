"""The exceptions of jaxviz.

    Exception
    └── JaxvizError                     base of every error that jaxviz raises on purpose
        ├── ModelFileError              a file is missing, damaged, or not a model
        ├── ConversionError             a model has parts that cannot be converted exactly
        ├── SpecError                   an architecture contradicts itself or its weights
        ├── LayerError                  a layer or channel does not exist or does not suit
        ├── ImageSizeError              an image cannot be read or does not fit a layer
        ├── ConfigError                 an option or setting does not exist or does not fit
        ├── MemoryLimitError            a single picture does not fit into a device's memory
        ├── RecipeError                 a recipe file has mistakes, each with its line
        └── AtlasError                  an atlas folder cannot be made, read or continued
            ├── AtlasMismatchError      the folder holds an atlas of another model or recipe
            └── AtlasLockedError        another run is working on the folder

A message has three parts: the failure and its object; every offender on a line of its own, with
the value found and the value expected; and a hint.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class JaxvizError(Exception):
    """Base of every error that jaxviz raises on purpose.

    The command line prints such an error without a traceback and exits with status 1.

    Args:
        summary: One line: the failure and its object.
        details: Every offender, one line each.
        hint: A sentence that says how to go on.

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
    """A file is missing, damaged, or not a model."""


class ConversionError(JaxvizError):
    """A model has parts that cannot be converted exactly."""


class SpecError(JaxvizError):
    """An architecture contradicts itself or its weights."""


class LayerError(JaxvizError):
    """A layer or channel does not exist in a model, or does not suit the request."""


class ImageSizeError(JaxvizError):
    """An image cannot be read, or its size or channels do not fit a layer."""


class ConfigError(JaxvizError):
    """An option, preset, objective or optimizer does not exist or does not fit."""


class MemoryLimitError(JaxvizError):
    """A single picture does not fit into a device's memory."""


class RecipeError(JaxvizError):
    """A recipe file has mistakes; the message names the line of each."""


class AtlasError(JaxvizError):
    """An atlas folder cannot be made, read or continued."""


class AtlasMismatchError(AtlasError):
    """An atlas folder holds an atlas of another model, recipe or seed."""


class AtlasLockedError(AtlasError):
    """Another run is working on an atlas folder."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A question that offers the known names closest to a mistyped one; empty if none is close.

    Args:
        name: The name as it was typed.
        known: All names.

    Example:
        >>> nearest("block1_cnv2", ["block1_conv1", "block1_conv2", "fc"])
        'Did you mean block1_conv2 or block1_conv1?'
    """
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(close)}?" if close else ""
