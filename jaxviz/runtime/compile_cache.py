"""JAX's persistent compilation cache: compiled programs on disk, shared between runs."""

from __future__ import annotations

import jax

from jaxviz._util.cache import cache_folder


def use_compile_cache() -> None:
    """Turn JAX's persistent compilation cache on, unless the user has already chosen a folder."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder("xla")))
        # Small programs too: an atlas has dozens, and a lookup takes almost no time.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
