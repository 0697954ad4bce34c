"""Where a unit's randomness comes from: nothing depends on chunks, order or devices."""

from __future__ import annotations

import hashlib
from functools import partial

import jax
import numpy as np

#: JAX's generator for every key; named in the manifest.
PRNG = "threefry2x32"


def unit_keys(seed: int, layer: str, channels: jax.Array, replicate: int = 0) -> jax.Array:
    """One key per unit: a function of seed, layer name, channel and replicate alone.

    Args:
        seed: Any integer.
        layer: The layer's name; a stable digest of it is folded in.
        channels: [unit] channel numbers.
        replicate: Which of several attempts.
    """
    digest = int.from_bytes(hashlib.sha256(layer.encode()).digest()[:4], "big")
    key = jax.random.key(seed, impl=PRNG)
    return _fold(key, np.uint32(digest), replicate, channels)


@jax.jit  # as one program: operation by operation it would compile several
def _fold(key: jax.Array, digest: int, replicate: int, channels: jax.Array) -> jax.Array:
    key = jax.random.fold_in(jax.random.fold_in(key, digest), replicate)
    return jax.vmap(partial(jax.random.fold_in, key))(channels)
