"""The examples of the README and the guides run, and their commands exist."""

import contextlib
import re
import shlex
from pathlib import Path

import click
import pytest

from jaxviz.cli import cli

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", DOCS / "index.md", DOCS / "quickstart.md", DOCS / "contributing.md"]
PAGES = [page for page in (*PAGES, *sorted((DOCS / "guides").glob("*.md"))) if page.is_file()]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


def blocks(page, language):
    """(line, code) of every fenced block of a language."""
    text = page.read_text("utf-8")
    return [
        (text.count("\n", 0, match.start(2)) + 1, match[2])
        for match in _BLOCK.finditer(text)
        if match[1] == language
    ]


def commands(page):
    """Every `jaxviz …` line of the page's shell blocks, as words."""
    lines = [line for _, code in blocks(page, "bash") for line in code.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    return [w[1:] for w in words if w[:1] == ["jaxviz"]]


WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]
COMMANDS = [(page, command) for page in PAGES for command in commands(page)]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.stem)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for line, code in blocks(page, "python"):
        # as many empty lines before it as in the page, so that errors name the right one
        exec(compile("\n" * (line - 1) + code, str(page), "exec"), names)


@pytest.mark.parametrize(
    ("page", "command"), COMMANDS, ids=[f"{p.stem}: {' '.join(c)}" for p, c in COMMANDS]
)
def test_commands_are_understood(page, command):
    name, *arguments = command
    with contextlib.suppress(click.exceptions.Exit):  # --help ends the program
        cli.commands[name].make_context(name, arguments)


def test_no_page_is_without_its_examples():
    assert len(WITH_PYTHON) >= 9
    assert len(COMMANDS) >= 50
