"""jaxviz: filter atlases of trained Keras CNNs, in JAX.

A converted model is loaded with `load`, pictures of its filters are made with `render`,
and an atlas on disk is opened with `open_atlas`. The command line does the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from jaxviz._util.renamed import find_old_names, old_names
from jaxviz._util.version import __version__

if TYPE_CHECKING:
    from jaxviz import errors, figures, objectives, parameterizations, presets, transforms
    from jaxviz.api import load, render
    from jaxviz.atlas import open_atlas
    from jaxviz.bundle.load import example, load_bundle
    from jaxviz.engine.renderer import RenderResult
    from jaxviz.errors import JaxvizError
    from jaxviz.jobs.recipe import AtlasRecipe, read_recipes
    from jaxviz.jobs.run import make_atlas
    from jaxviz.model import Model
    from jaxviz.presets import PRESETS, Preset

# Names are imported when they are first used: `jaxviz --help` must not wait for JAX.
_HOMES = {
    "AtlasRecipe": "jaxviz.jobs.recipe",
    "JaxvizError": "jaxviz.errors",
    "Model": "jaxviz.model",
    "PRESETS": "jaxviz.presets",
    "Preset": "jaxviz.presets",
    "RenderResult": "jaxviz.engine.renderer",
    "example": "jaxviz.bundle.load",
    "load": "jaxviz.api",
    "load_bundle": "jaxviz.bundle.load",
    "make_atlas": "jaxviz.jobs.run",
    "open_atlas": "jaxviz.atlas",
    "read_recipes": "jaxviz.jobs.recipe",
    "render": "jaxviz.api",
}
#: Removed in 0.3.
_old_names = old_names(__name__, {"Render": "RenderResult"})
_MODULES = ("errors", "figures", "objectives", "parameterizations", "presets", "transforms")

__all__ = [
    "PRESETS",
    "AtlasRecipe",
    "JaxvizError",
    "Model",
    "Preset",
    "RenderResult",
    "__version__",
    "errors",
    "example",
    "figures",
    "load",
    "load_bundle",
    "make_atlas",
    "objectives",
    "open_atlas",
    "parameterizations",
    "presets",
    "read_recipes",
    "render",
    "transforms",
]

find_old_names()


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"jaxviz.{name}")
    if name not in _HOMES:
        return _old_names(name)
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
