"""Activations -> one number, always maximised."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def trimmed_mean(activation: jax.Array, trim: int) -> jax.Array:
    """Mean of a channel's map without its border, which padding distorts.

    Args:
        activation: [*spatial], one channel of a layer; a scalar where it has no positions.
        trim: Positions left out on every side; fewer where a map is too small for that
            (min(trim, (n − 1) // 2) along an axis of n), so that a middle always remains.

    Returns:
        A scalar.

    Example:
        >>> float(trimmed_mean(jnp.arange(25.0).reshape(5, 5), trim=2))
        12.0
        >>> float(trimmed_mean(jnp.ones((2, 2)), trim=2))
        1.0

    References:
        keras.io, "Visualizing what convnets learn": `activation[:, 2:-2, 2:-2, filter_index]`.
    """
    edges = [min(trim, (n - 1) // 2) for n in activation.shape]
    inner = tuple(slice(e, n - e) for e, n in zip(edges, activation.shape, strict=True))
    return jnp.mean(activation[inner])
