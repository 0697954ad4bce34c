"""Progress of an atlas: a bar for people, or lines of JSON for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from jaxviz._util.text import printable
from jaxviz.atlas import LayerPlan
from jaxviz.jobs.report import LayerReport, Reporter


class ConsoleReporter(Reporter):
    """A progress bar on standard error, for use as a context manager.

    Args:
        json_lines: Print a line of JSON for each finished layer on standard output.
    """

    def __init__(self, *, json_lines: bool = False) -> None:
        self._json = json_lines
        self._path = ""
        console = Console(stderr=True)
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("filters"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=None)

    def __enter__(self) -> ConsoleReporter:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def note(self, text: str) -> None:
        """Print a note above the bar."""
        self._console.print(f"note: {escape(printable(text))}", highlight=False, soft_wrap=True)

    def start(self, path: Path, layers: Sequence[LayerPlan], finished: int) -> None:
        """Show how many units of an atlas are there already."""
        self._path = str(path)
        total = sum(len(plan.channels) for plan in layers)
        self._bar.reset(self._task, total=total, completed=finished, description="starting")
        if 0 < finished:
            self.note(f"{finished} of {total} units are already there; making the rest.")

    def layer(self, name: str) -> None:
        """Show the layer that is computed."""
        self._bar.update(self._task, description=escape(printable(name)))

    def units(self, count: int) -> None:
        """Advance the bar by this many units."""
        self._bar.advance(self._task, count)

    def finish(self, report: LayerReport) -> None:
        """Print a finished layer, where there is no bar."""
        if self._json:
            line = {"atlas": self._path, **dataclasses.asdict(report)}
            click.echo(json.dumps(line, ensure_ascii=True))
        elif not self._console.is_terminal:
            extra = "".join(
                f", {n} {word}"
                for n, word in ((report.dead, "dead"), (report.failed, "failed"))
                if n
            )
            self.note(f"{report.layer}: {report.units} units{extra}, {report.seconds:.1f} s")
