"""Files and folders that the pages name exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("*/README.md")),
    *sorted(ROOT.glob("jaxviz/*/README.md")),
    *sorted(ROOT.glob("jaxviz/*/*/README.md")),
]
_TOP = "jaxviz|converters|benchmarks|tests|scripts|docs"
#: A path from the root of the repository, in backticks.
_PATH = re.compile(rf"`((?:{_TOP})/[\w./-]+)`")
#: Written by a run or by a reader of CONTRIBUTING, so not in a checkout.
_ELSEWHERE = re.compile(r"NAME|FAMILY|benchmarks/\.(venv|cache)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_exist(page):
    named = {path.rstrip("/.") for path in _PATH.findall(page.read_text("utf-8"))}
    missing = [p for p in named if not _ELSEWHERE.search(p) and not (ROOT / p).exists()]
    assert missing == []
