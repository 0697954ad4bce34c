"""Where a unit's randomness comes from: nothing depends on chunks, order or devices."""

from __future__ import annotations

import hashlib
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt32

from jaxviz.runtime.workers import CompiledOnce
from jaxviz.runtime.xla_options import compiler_options

#: JAX's generator for every key; named in the manifest.
PRNG = "threefry2x32"
#: Keys as the plain numbers that they are: to take some of them, JAX compiles five programs.
KeyData = UInt32[np.ndarray, "unit 2"]
# Keys that are made in one call.
_BLOCK = 32


def unit_keys(seed: int, layer: str, channels: np.ndarray, replicate: int = 0) -> KeyData:
    """One key per unit: a function of seed, layer name, channel and replicate alone.

    Args:
        seed: Any integer.
        layer: The layer's name; a stable digest of it is folded in.
        channels: [unit] channel numbers.
        replicate: Which of several attempts.

    Example:
        >>> jax.random.wrap_key_data(unit_keys(0, "conv1", np.arange(3))).shape
        (3,)
    """
    digest = int.from_bytes(hashlib.sha256(layer.encode()).digest()[:4], "big")
    numbers = np.asarray(channels, np.int32)
    fold = _compiled_fold(seed, jax.default_backend())
    # in blocks, so that pieces of any size share one compiled program
    blocks = np.resize(numbers, (-(-len(numbers) // _BLOCK), _BLOCK))
    keys = [np.asarray(fold(np.uint32(digest), np.int32(replicate), block)) for block in blocks]
    return np.concatenate(keys)[: len(numbers)]


def as_key(data: jax.Array | np.ndarray) -> jax.Array:
    """The key that data of `unit_keys` are of; within what is compiled."""
    return jax.random.wrap_key_data(jnp.asarray(data), impl=PRNG)


@cache
def _compiled_fold(seed: int, platform: str) -> CompiledOnce:
    options = compiler_options(platform, "little")
    return CompiledOnce(jax.jit(partial(_fold, seed), compiler_options=options))


def _fold(seed: int, digest: jax.Array, replicate: jax.Array, channels: jax.Array) -> jax.Array:
    key = jax.random.fold_in(jax.random.key(seed, impl=PRNG), digest)
    keys = jax.vmap(partial(jax.random.fold_in, jax.random.fold_in(key, replicate)))(channels)
    return jax.random.key_data(keys)
