"""Random keys of units, which do not depend on chunks, order or devices."""

from __future__ import annotations

import hashlib
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt32

from jaxviz.runtime.workers import CompiledOnce
from jaxviz.runtime.xla_options import compiler_options

#: JAX's generator of every key, as the manifest names it.
PRNG = "threefry2x32"
#: Keys as plain numbers, because JAX compiles five programs to index an array of keys.
KeyData = UInt32[np.ndarray, "unit 2"]
# Keys made in one call.
_BLOCK = 32


def unit_keys(seed: int, layer: str, channels: np.ndarray, replicate: int = 0) -> KeyData:
    """A key for each unit: a function of seed, layer name, channel and replicate.

    Args:
        seed: Any integer.
        layer: The layer's name, which enters as a digest.
        channels: [unit] channel numbers.
        replicate: Number of the unit's picture, or of an attempt at it.

    Returns:
        [unit, 2] numbers; `as_key` makes keys of them.

    Example:
        >>> jax.random.wrap_key_data(unit_keys(0, "conv1", np.arange(3))).shape
        (3,)
    """
    digest = int.from_bytes(hashlib.sha256(layer.encode()).digest()[:4], "big")
    numbers = np.asarray(channels, np.int32)
    fold = _compiled_fold(seed, jax.default_backend())
    # in blocks, so that any number of units needs one compiled program
    blocks = np.resize(numbers, (-(-len(numbers) // _BLOCK), _BLOCK))
    keys = [np.asarray(fold(np.uint32(digest), np.int32(replicate), block)) for block in blocks]
    return np.concatenate(keys)[: len(numbers)]


def as_key(data: jax.Array | np.ndarray) -> jax.Array:
    """The JAX key of numbers from `unit_keys`; for use inside compiled functions."""
    return jax.random.wrap_key_data(jnp.asarray(data), impl=PRNG)


@cache
def _compiled_fold(seed: int, platform: str) -> CompiledOnce:
    options = compiler_options(platform, "little")
    return CompiledOnce(jax.jit(partial(_fold, seed), compiler_options=options))


def _fold(seed: int, digest: jax.Array, replicate: jax.Array, channels: jax.Array) -> jax.Array:
    key = jax.random.fold_in(jax.random.key(seed, impl=PRNG), digest)
    keys = jax.vmap(partial(jax.random.fold_in, jax.random.fold_in(key, replicate)))(channels)
    return jax.random.key_data(keys)
