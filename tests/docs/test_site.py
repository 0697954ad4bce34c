"""The site builds without a warning, and documents every public name."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PUBLIC = (
    "jaxviz",
    "jaxviz.atlas",
    "jaxviz.errors",
    "jaxviz.figures",
    "jaxviz.objectives",
    "jaxviz.parameterizations",
    "jaxviz.presets",
    "jaxviz.transforms",
)


def public_names(module_name):
    module = importlib.import_module(module_name)
    if hasattr(module, "__all__"):
        return module.__all__
    return [name for name, value in vars(module).items() if inspect.isclass(value)]


def resolve(name):
    """The object of a dotted name, or None."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:end]))
        except ImportError:
            continue
        for part in parts[end:]:
            value = getattr(value, part, None)
        return value
    return None


def test_the_site_builds_without_a_warning_and_documents_every_public_name(tmp_path):
    pytest.importorskip("sphinx")
    pytest.importorskip("furo")
    from sphinx.util.inventory import InventoryFile

    options = ("--builder", "html", "--fail-on-warning", "--keep-going", "--quiet")
    command = [sys.executable, "-m", "sphinx", *options, str(ROOT / "docs"), str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr

    inventory = InventoryFile.loads((tmp_path / "objects.inv").read_bytes(), uri="").data
    documented = {name for kind in inventory if kind.startswith("py:") for name in inventory[kind]}
    values = {id(resolve(name)) for name in documented}
    missing = [
        f"{module}.{name}"
        for module in PUBLIC
        for name in public_names(module)
        if f"{module}.{name}" not in documented
        and id(getattr(importlib.import_module(module), name)) not in values
        and not inspect.ismodule(getattr(importlib.import_module(module), name))
    ]
    assert missing == ["jaxviz.__version__"], "\n".join(missing)
