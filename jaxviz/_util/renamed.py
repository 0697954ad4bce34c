"""Modules that were renamed: their old names still import, with a warning, for one release."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

#: Removed in 0.3. Each was importable in 0.1.
RENAMED = {
    "jaxviz.batch": "jaxviz.engine.renderer",
    "jaxviz.cost": "jaxviz.model.cost",
    "jaxviz.display": "jaxviz.imaging.display",
    "jaxviz.figures.images": "jaxviz.imaging.files",
    "jaxviz.keys": "jaxviz.runtime.keys",
    "jaxviz.loading": "jaxviz.bundle.load",
    "jaxviz.names": "jaxviz._util.filenames",
    "jaxviz.optimizers": "jaxviz.presets.optimizers",
    "jaxviz.plan": "jaxviz.jobs.estimate",
    "jaxviz.ranges": "jaxviz.imaging.ranges",
    "jaxviz.recipe": "jaxviz.jobs.recipe",
    "jaxviz.run": "jaxviz.jobs.run",
    "jaxviz.summary": "jaxviz.bundle.listing",
    "jaxviz.targets": "jaxviz.runtime.devices",
}
#: Names that went elsewhere than their module, or are called otherwise.
MOVED = {
    "jaxviz.batch.Render": "jaxviz.engine.renderer.RenderResult",
    "jaxviz.batch.render": "jaxviz.api.render",
    "jaxviz.loading.load": "jaxviz.api.load",
    "jaxviz.names.printable": "jaxviz._util.text.printable",
    "jaxviz.ranges.Units": "jaxviz.imaging.ranges.ValueRange",
    "jaxviz.recipe.match_channels": "jaxviz.spec.select.match_channels",
    "jaxviz.recipe.match_layers": "jaxviz.spec.select.match_layers",
    "jaxviz.run.AtlasReport": "jaxviz.jobs.report.AtlasReport",
    "jaxviz.run.Job": "jaxviz.jobs.prepare.Job",
    "jaxviz.run.LayerReport": "jaxviz.jobs.report.LayerReport",
    "jaxviz.run.Reporter": "jaxviz.jobs.report.Reporter",
    "jaxviz.run.prepare": "jaxviz.jobs.prepare.prepare",
    "jaxviz.run.use_compile_cache": "jaxviz.runtime.compile_cache.use_compile_cache",
}


class _OldModule(ModuleType):
    """Stands under an old name, and takes every attribute from its new place."""

    def __getattr__(self, name: str) -> object:
        here = RENAMED[self.__name__]
        module, _, attribute = MOVED.get(f"{self.__name__}.{name}", f"{here}.{name}").rpartition(
            "."
        )
        return getattr(importlib.import_module(module), attribute)


class _OldNames:
    """Finds a module that was renamed, under its old name."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in RENAMED:
            return None
        message = f"{name} is now {RENAMED[name]}; the old name goes away in jaxviz 0.3"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return importlib.util.spec_from_loader(name, self)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _OldModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: attributes are looked up when they are asked for."""


def find_old_names() -> None:
    """Let the old names be imported."""
    if not any(isinstance(finder, _OldNames) for finder in sys.meta_path):
        sys.meta_path.append(_OldNames())  # type: ignore[arg-type]


def old_names(module: str, names: Mapping[str, str]) -> Callable[[str], object]:
    """A module's `__getattr__` that finds names under their old ones, with a warning.

    Args:
        module: The module's `__name__`.
        names: {old name: new name}, both of that module.
    """

    def find(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        new = names[name]
        message = f"{module}.{name} is now {module}.{new}; the old name goes away in jaxviz 0.3"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return getattr(sys.modules[module], new)

    return find
