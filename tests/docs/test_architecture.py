"""The design pages name every room of the tree, and stay short."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "design" / "architecture.md").read_text("utf-8")


def test_every_folder_has_a_row():
    folders = {p.parent.name for p in (ROOT / "jaxviz").glob("*/__init__.py")}
    rows = "".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `"))
    assert {f for f in folders if f"`{f}`" not in rows} == set()


def test_pages_keep_to_their_length():
    assert len(PAGE.splitlines()) <= 150
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 100


def test_every_decision_says_why_and_what_follows():
    decisions = sorted((ROOT / "docs" / "design" / "decisions").glob("[0-9]*.md"))
    assert [int(p.name[:4]) for p in decisions] == list(range(1, len(decisions) + 1))
    for page in decisions:
        headings = [line for line in page.read_text("utf-8").splitlines() if line[:3] == "## "]
        assert headings == ["## Context", "## Decision", "## Consequences"], page.name
