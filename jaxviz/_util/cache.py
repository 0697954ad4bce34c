"""Folders for files that jaxviz can make again: deleting them costs time and nothing else."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_cache_path


def cache_folder(name: str) -> Path:
    """A folder in the user's cache, where the operating system expects one. It may not exist yet.

    On Linux `$XDG_CACHE_HOME/jaxviz/NAME`, by default `~/.cache/jaxviz/NAME`.

    Args:
        name: The kind of files: `xla` for compiled programs, `tuning` for timings.

    Example:
        >>> cache_folder("xla").name
        'xla'
    """
    return user_cache_path("jaxviz", appauthor=False) / name
