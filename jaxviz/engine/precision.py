"""Which numbers a network is computed in, and whether narrow ones are close enough.

On a TPU a step is bound by memory traffic, and bfloat16 halves it. The picture, its
gradient and the optimizer stay float32 in any case; so do the sums within a convolution
and the weights that are not kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxviz.engine.metrics import reference_images
from jaxviz.imaging.ranges import ValueRange
from jaxviz.model.graph import Params
from jaxviz.objectives import Activations, Channel, Network

#: What may be asked for: `auto` is the platform's choice, where that is close enough.
AskedDtype = Literal["auto", "float32", "bfloat16"]
Dtype = Literal["float32", "bfloat16"]

# Where memory traffic bounds a step and bfloat16 is what the chip multiplies in.
_NARROW_PLATFORMS = frozenset({"tpu", "gpu", "cuda", "rocm"})
#: Least cosine between a unit's gradients, and how many of the units have to reach it.
LEAST_COSINE, LEAST_SHARE = 0.9, 0.9
#: How much farther from exact gradients than the platform's own float32 is near enough. One
#: rounding of every product's operands is what that has; bfloat16 has a second one, of what
#: is stored. Independent ones of one size add up to twice the squared distance.
TIMES_OWN = 2.0
_IMAGES = 16


class Fidelity(NamedTuple):
    """How near bfloat16 comes to float32 on one layer, from the units' starting pictures.

    Attributes:
        cosine: Between the gradient in bfloat16 and the exact one: what the least of the
            better nine tenths of the units has; 1 where no unit has a gradient.
        score: The same of the objective's relative difference: its largest.
        units: How many units with a gradient were compared.
        own: The cosine that the platform's own float32 has with the exact gradient, which on
            a TPU multiplies in bfloat16 too; None where `cosine` alone is enough to decide.
    """

    cosine: float
    score: float
    units: int
    own: float | None = None

    @property
    def close(self) -> bool:
        """Whether bfloat16 may be used.

        It may where nine tenths of the gradients point where the exact ones do, to
        `LEAST_COSINE`; and where float32 as the platform computes it is no better than half
        as far off (1 - cosine, the squared distance of unit vectors over two), so that
        falling back to it would take twice the memory traffic and gain next to nothing.
        """
        near = self.own is not None and 1 - self.cosine <= TIMES_OWN * (1 - self.own)
        return self.cosine >= LEAST_COSINE or near

    def __str__(self) -> str:
        """The cosine, with what the platform's float32 has where that was asked."""
        own = "" if self.own is None else f", of this platform's float32 {self.own:.4f}"
        return f"cosine of gradients {self.cosine:.4f}{own} over {self.units} units"


def preferred_dtype(asked: AskedDtype, platform: str) -> Dtype:
    """What a layer is computed in, unless it turns out to be too far from float32.

    Example:
        >>> preferred_dtype("auto", "tpu"), preferred_dtype("auto", "cpu")
        ('bfloat16', 'float32')
    """
    if asked != "auto":
        return asked
    return "bfloat16" if platform in _NARROW_PLATFORMS else "float32"


def narrowed(params: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Weights by layer and name, with the kernels in bfloat16.

    Everything with more than one axis is a kernel: what else there is (biases, statistics)
    is small, and is used in arithmetic that is fused and float32 anyway.
    """
    return {
        layer: {n: jnp.asarray(a, jnp.bfloat16 if np.ndim(a) > 1 else None) for n, a in own.items()}
        for layer, own in params.items()
    }


def compare(
    network: Network, wide: Params, narrow: Params, layer: str, units: ValueRange
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
        units: The network's input range.
    """
    images = jnp.asarray(reference_images(network.shape, units)[:_IMAGES])
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
    return found._replace(own=fidelity(exact, slopes("float32", wide)).cosine)


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
        return Fidelity(1.0, 0.0, 0)
    a, b, value, other = a[live], b[live], value[live], other[live]
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines = np.einsum("ui,ui->u", a, b) / np.maximum(lengths, np.finfo(np.float64).tiny)
    apart = np.abs(other - value) / np.maximum(np.abs(value), 1e-12)
    return Fidelity(
        float(np.quantile(cosines, 1 - LEAST_SHARE)),
        float(np.quantile(apart, LEAST_SHARE)),
        int(live.sum()),
    )
