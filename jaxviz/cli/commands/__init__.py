"""The commands, one a module: `jaxviz NAME` is the function NAME of the module NAME.

A module here becomes a command without being listed anywhere. Modules import JAX and NumPy inside
their functions, so that `jaxviz --help` answers at once.
"""

from __future__ import annotations

import importlib
import pkgutil

import click


def all_commands() -> tuple[click.Command, ...]:
    """Every command in this package, in alphabetical order.

    Example:
        >>> [command.name for command in all_commands()][:2]
        ['activations', 'atlas']
    """
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return tuple(getattr(importlib.import_module(f"{__name__}.{name}"), name) for name in names)
