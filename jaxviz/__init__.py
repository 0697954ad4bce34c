"""jaxviz: filter atlases of trained Keras CNNs, in JAX.

A converted model is loaded with `load`, pictures of its filters are made with `render`,
and an atlas on disk is opened with `open_atlas`. The command line does the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from jaxviz.atlas import open_atlas
    from jaxviz.batch import Render, render
    from jaxviz.errors import JaxvizError
    from jaxviz.loading import example, load, load_bundle
    from jaxviz.model import Model
    from jaxviz.presets import PRESETS, Preset
    from jaxviz.run import make_atlas

# Names are imported when they are first used: `jaxviz --help` must not wait for JAX.
_HOMES = {
    "JaxvizError": "jaxviz.errors",
    "Model": "jaxviz.model",
    "PRESETS": "jaxviz.presets",
    "Preset": "jaxviz.presets",
    "Render": "jaxviz.batch",
    "example": "jaxviz.loading",
    "load": "jaxviz.loading",
    "load_bundle": "jaxviz.loading",
    "make_atlas": "jaxviz.run",
    "open_atlas": "jaxviz.atlas",
    "render": "jaxviz.batch",
}

__all__ = [
    "PRESETS",
    "JaxvizError",
    "Model",
    "Preset",
    "Render",
    "__version__",
    "example",
    "load",
    "load_bundle",
    "make_atlas",
    "open_atlas",
    "render",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jaxviz' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
