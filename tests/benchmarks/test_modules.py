"""Every module of the benchmarks can be imported, and every question names one of them."""

import importlib
import json
import runpy
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.environment import CACHE, RESULTS, ROOT, peer_environment
from benchmarks.peers.worker import MAKERS
from benchmarks.report.__main__ import PAGES

FOLDER = ROOT / "benchmarks"
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted(FOLDER.rglob("*.py"))
    if not {".venv", ".cache"}.intersection(path.relative_to(FOLDER).parts)
]
#: Packages that only the peers' environment or an accelerator's extra has to have.
ELSEWHERE = {"torch", "libtpu"}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_can_be_imported(name):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in ELSEWHERE:
            raise
        pytest.skip(f"{error.name} is not installed")


def test_every_question_is_a_module():
    questions = runpy.run_path(str(FOLDER / "run"))["QUESTIONS"]
    for (module, *_), _ in questions.values():
        assert find_spec(f"benchmarks.{module}")


def test_every_peer_has_a_maker():
    for module, function, _ in MAKERS.values():
        source = (FOLDER / "peers" / f"{module}.py").read_text()
        assert f"def {function}(" in source


def test_peers_find_the_benchmarks():
    environment = peer_environment(KERAS_BACKEND="jax")
    assert environment["PYTHONPATH"].split(":")[0] == str(ROOT)
    assert environment["KERAS_BACKEND"] == "jax"
    assert CACHE.parent == FOLDER


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_made_from_its_result(name):
    result, make = PAGES[name]
    page = make(json.loads((RESULTS / f"{result}.json").read_text()))
    written = Path(ROOT, "docs", "design", "performance", f"{name}.md").read_text("utf-8")
    assert written.startswith(f"{page}\n")
