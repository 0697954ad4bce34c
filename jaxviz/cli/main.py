"""The group of commands, and the exit statuses that errors become.

0: done; dead units are a finding, not a failure. 1: an error that the message explains. 2: wrong
usage. 3: finished, but some units failed. 130: interrupted.
"""

from __future__ import annotations

import gc
import sys

import click

from jaxviz._util.text import printable
from jaxviz._util.version import __version__
from jaxviz.cli.commands import all_commands
from jaxviz.errors import JaxvizError
from jaxviz.runtime import interrupt

INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="jaxviz")
def cli() -> None:
    """Filter atlases of trained Keras CNNs: what every filter of every layer looks for."""


for _command in all_commands():
    cli.add_command(_command)


def main() -> None:
    """Run the command line and exit."""
    interrupt.listen()
    # Modules and traced programs stay alive, so searching them for garbage only costs time.
    gc.set_threshold(50_000, 20, 20)
    try:
        status = cli(standalone_mode=False)
    except JaxvizError as error:
        click.echo(f"error: {printable(str(error))}", err=True)
        status = 1
    except click.exceptions.Abort:
        status = INTERRUPTED
    except KeyboardInterrupt:
        status = INTERRUPTED
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except BrokenPipeError:
        status = 1
    gc.freeze()  # and no search at the end
    sys.exit(status or 0)
