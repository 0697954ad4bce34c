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
    own = {n: v for n, v in vars(module).items() if getattr(v, "__module__", "") == module_name}
    return [name for name, value in own.items() if inspect.isclass(value)]


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


@pytest.mark.parametrize("module_name", PUBLIC)
def test_public_names_have_docstrings_of_the_agreed_form(module_name):
    module = importlib.import_module(module_name)
    lacking = [
        f"{module_name}.{name}: {problem}"
        for name in public_names(module_name)
        for problem in problems_of(getattr(module, name))
    ]
    assert not lacking, "\n".join(lacking)


def problems_of(value):
    """What a public function's or class's docstring leaves out."""
    if not (inspect.isfunction(value) or inspect.isclass(value)):
        return
    text = value.__doc__ or ""
    summary = text.split("\n\n")[0].strip()
    if not summary:
        yield "no docstring"
        return
    if "\n" in summary:
        yield "the first paragraph is not one line"
    if inspect.isclass(value):
        own = {n: v for n, v in vars(value).items() if not n.startswith("_")}
        methods = [n for n, v in own.items() if callable(v) or hasattr(v, "__get__")]
        yield from (
            f"no docstring of {n}" for n in methods if not inspect.getdoc(getattr(value, n))
        )
        return
    signature = inspect.signature(value)
    named = [n for n in signature.parameters if n not in ("self", "args", "kwargs")]
    if len(named) > 1 and "Args:" not in text:
        yield "no Args"
    if signature.return_annotation not in (None, "None", inspect.Signature.empty):
        if "Args:" in text and "Returns:" not in text and "Yields:" not in text:
            yield "Args without Returns"
