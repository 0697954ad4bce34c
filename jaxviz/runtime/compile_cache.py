"""Compiled programs kept on disk, for the next run of the same layer."""

from __future__ import annotations

import os
from pathlib import Path

import jax


def use_compile_cache() -> None:
    """Keep compiled programs on disk, so that the next run of the same layer starts at once."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        jax.config.update("jax_compilation_cache_dir", str(Path(home) / "jaxviz" / "xla"))
        # small ones too: an atlas has dozens, and finding one takes no time
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
