"""Fixtures of the tests of commands."""

import sys

import pytest

from jaxviz.cli import main


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `jaxviz ARGUMENTS…` in this process -> (exit status, standard output, standard error)."""

    def invoke(*arguments):
        monkeypatch.setattr(sys, "argv", ["jaxviz", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return exit_.value.code, captured.out, captured.err

    return invoke
