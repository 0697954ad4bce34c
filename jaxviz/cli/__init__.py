"""The command line: parse, call, and turn errors into exit statuses."""

from jaxviz.cli.main import cli, main

__all__ = ["cli", "main"]
