"""Whether a layer's gradients in bfloat16 are close enough to float32.

On a TPU a step is bound by memory traffic, and bfloat16 halves it. The picture, its
gradient and the optimizer stay float32 in any case; so do the sums within a convolution
and the weights that are not kernels.
"""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from jaxviz.engine.execution import implementations
from jaxviz.engine.metrics import reference_images
from jaxviz.engine.programs import ProgramCache
from jaxviz.imaging.ranges import ValueRange
from jaxviz.model.dispatch import prepare_weights
from jaxviz.model.graph import Params
from jaxviz.objectives import Activations, Channel, Network
from jaxviz.runtime.execution import Dtype, Execution, Fidelity

# Units that have to be close enough; the farther tenth is left out.
_SHARE = 0.9
_IMAGES = 16


def check_precision(programs: ProgramCache, execution: Execution) -> Execution:
    """The execution after bfloat16 was compared with float32; float32 where it is too far off.

    Takes two small compilations, seldom three; nothing for float32, or where an earlier run
    has compared them.
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
    """How near bfloat16 comes to float32, on images like natural ones.

    Compared are the channels' means, with a share of what goes into the activation so that
    no unit is without a gradient, of as many channels as there are images. What they are
    compared with is float32 multiplied exactly; only where bfloat16 is far from that, float32
    as the platform has it is computed as well.

    Args:
        network: The architecture; its type does not matter.
        wide: Its weights, on the device.
        narrow: The same from `narrowed`.
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
    """Compare values and gradients of the same units.

    Args:
        wide: [unit] objective and [unit, …] gradient, as exact as they get.
        narrow: The same, computed otherwise.

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
