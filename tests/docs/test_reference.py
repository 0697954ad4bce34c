"""The generated pages of the reference say what the code says."""

import subprocess
import sys
from pathlib import Path

import pytest

from jaxviz.cli import cli

ROOT = Path(__file__).parents[2]


def test_the_generated_pages_are_up_to_date():
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_and_every_option_says_what_it_does(name):
    command = cli.commands[name]
    assert (command.help or "").strip()
    options = [p for p in command.params if p.param_type_name == "option"]
    assert [o.opts[-1] for o in options if not (o.help or "").strip()] == []
    assert f"\n## {name}\n" in (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
