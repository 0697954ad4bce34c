"""Modules that were renamed: their old names still import, with a warning, for one release."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Sequence
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


class _OldNames:
    """Finds an old module name by importing the new one in its place."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in RENAMED:
            return None
        message = f"{name} is now {RENAMED[name]}; the old name goes away in jaxviz 0.3"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return importlib.util.spec_from_loader(name, self)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(RENAMED[spec.name])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own spec back; it was executed under its new name."""
        if module.__spec__ is not None and isinstance(module.__spec__.loader_state, ModuleSpec):
            module.__spec__ = module.__spec__.loader_state


def find_old_names() -> None:
    """Let the old names be imported."""
    if not any(isinstance(finder, _OldNames) for finder in sys.meta_path):
        sys.meta_path.append(_OldNames())  # type: ignore[arg-type]
