"""Check whether a layer's gradients in bfloat16 are close enough to float32.

On a TPU memory traffic bounds a step, and bfloat16 halves it. Pictures, their gradients and the
optimizer stay in float32. So do sums within a convolution and weights that are not kernels.
"""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from jaxviz.engine.choose import implementations
from jaxviz.engine.metrics import reference_images
from jaxviz.engine.program_cache import ProgramCache
from jaxviz.imaging.ranges import ValueRange
from jaxviz.model.dispatch import prepare_weights
from jaxviz.model.graph import Params
from jaxviz.objectives import Activations, Channel, Network
from jaxviz.runtime.execution import Dtype, Execution, Fidelity

# Fraction of units that must be close enough; the worst tenth is ignored.
_SHARE = 0.9
_IMAGES = 16


def check_precision(programs: ProgramCache, execution: Execution) -> Execution:
    """Compare bfloat16 with float32, and fall back to float32 if it is not close enough.

    This takes two small compilations, rarely three.

    Args:
        programs: The layer's programs; their weights are in bfloat16.
        execution: Returned unchanged if it is in float32 or its fidelity is known.

    Returns:
        The execution with its fidelity; in float32 with suitable implementations if bfloat16
        is not close enough.
    """
    setup, target = programs.setup, programs.target
    if execution.dtype != "bfloat16" or execution.fidelity is not None:
        return execution
    network = replace(programs.network, implementations={})
    plain = prepare_weights(setup.spec, programs.model.arrays(), {}, list(setup.taps))
    wide = target.placed(plain, split=False)
    found = compare(network, wide, programs.weights, setup.layer, setup.value_range)
    if found.close:
        return execution.changed(fidelity=found)
    chosen = implementations(setup, target, "float32")
    return execution.changed(fidelity=found, dtype="float32", implementations=chosen)


def compare(
    network: Network, wide: Params, narrow: Params, layer: str, value_range: ValueRange
) -> Fidelity:
    """Compare values and gradients in bfloat16 with exact float32.

    The objective is the mean of a channel, on images like natural ones. A leak of 0.1 gives
    every unit a gradient. The reference multiplies float32 exactly. The platform's own float32
    is computed too if bfloat16 is far from the reference.

    Args:
        network: The architecture; its `dtype` is ignored.
        wide: The weights in float32, on the device.
        narrow: The weights with kernels in bfloat16, from `narrowed`.
        layer: The layer.
        value_range: The network's input range.
    """
    images = jnp.asarray(reference_images(network.shape, value_range)[:_IMAGES])
    count = network.spec.shapes(network.input_shape(network.shape), targets=[layer])[layer][-1] or 1
    channels = jnp.asarray(np.linspace(0, count, _IMAGES, endpoint=False).astype(np.int32))

    def slopes(dtype: Dtype, params: Params) -> tuple[np.ndarray, np.ndarray]:
        computed = replace(network, dtype=dtype)

        def value(params: Params, image: jax.Array, channel: jax.Array) -> jax.Array:
            seen = Activations(computed, params, image, image, None, layer, channel)
            return Channel(leak=0.1).value(seen)

        both = jax.vmap(jax.value_and_grad(value, argnums=1), in_axes=(None, 0, 0))
        value_, slope = jax.device_get(jax.jit(both)(params, images, channels))
        return value_, slope

    with jax.default_matmul_precision("highest"):
        exact = slopes("float32", wide)
    found = fidelity(exact, slopes("bfloat16", narrow))
    if found.close:
        return found
    return found.model_copy(update={"own": fidelity(exact, slopes("float32", wide)).cosine})


def fidelity(
    wide: tuple[np.ndarray, np.ndarray], narrow: tuple[np.ndarray, np.ndarray]
) -> Fidelity:
    """Summarise how close two computations of the same units are.

    Args:
        wide: [unit] objective and [unit, …] gradient, as exact as possible.
        narrow: [unit] objective and [unit, …] gradient in less precision.

    Example:
        >>> one = np.ones(2), np.eye(2)
        >>> fidelity(one, one)
        Fidelity(cosine=1.0, score=0.0, units=2, own=None)
    """
    (value, gradient), (other, slope) = wide, narrow
    a, b = (g.reshape(len(g), -1).astype(np.float64) for g in (gradient, slope))
    live = np.linalg.norm(a, axis=1) > 0
    if not live.any():
        return Fidelity(cosine=1.0, score=0.0, units=0)
    a, b, value, other = a[live], b[live], value[live], other[live]
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines = np.einsum("ui,ui->u", a, b) / np.maximum(lengths, np.finfo(np.float64).tiny)
    apart = np.abs(other - value) / np.maximum(np.abs(value), 1e-12)
    return Fidelity(
        cosine=float(np.quantile(cosines, 1 - _SHARE)),
        score=float(np.quantile(apart, _SHARE)),
        units=int(live.sum()),
    )
