"""What a finished picture is worth: measures that compare units, pictures and starts.

All are taken of the clean picture. Reference images say what a unit does when nobody tries
to please it: images that the user gives, or else noise with the spectrum and colours of
natural images.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxviz.model.graph import run
from jaxviz.objectives import Network
from jaxviz.parameterizations import Fourier
from jaxviz.ranges import Units

#: Shifts in pixels, down and right, that robustness is taken over; the sides are joined.
_SHIFTS = ((3, 0), (0, 3), (-3, 0), (0, -3), (2, 2), (-2, -2))
#: How many reference images are made where none are given, and their contrast before the
#: sigmoid: about that of photographs.
_REFERENCES, _CONTRAST = 32, 1.0


class Assessor:
    """Measures pictures of one layer's units; one compiled program serves all of it.

    Args:
        network: The architecture and how it is computed.
        params: Its weights.
        layer: The layer.
        units: The network's input range against the preset's.
        chunk: Images in one call.
        references: [image, height, width, channels] in the network's units.
    """

    def __init__(
        self,
        network: Network,
        params: Any,
        layer: str,
        units: Units,
        chunk: int,
        references: np.ndarray | None = None,
    ) -> None:
        self._params, self._chunk = params, chunk
        self._means = jax.jit(partial(_means, network, layer))
        if references is None:
            references = reference_images(network.shape, units)
        #: [image, channels]: what every unit does on every reference image.
        self.reference = self.activations(references)

    def activations(self, raw: np.ndarray) -> Float[np.ndarray, "image channels"]:
        """Mean of every channel over every image's map."""
        results = []
        for first in range(0, len(raw), self._chunk):
            some = raw[first : first + self._chunk]
            count = len(some)
            if count < self._chunk:
                some = np.concatenate([some, np.repeat(some[-1:], self._chunk - count, axis=0)])
            results.append(np.asarray(self._means(self._params, jnp.asarray(some)))[:count])
        return np.concatenate(results)

    def standard(self, raw: np.ndarray) -> Float[np.ndarray, "image channels"]:
        """The same, standardised over the reference images."""
        return self._standardised(self.activations(raw))

    def _standardised(self, found: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):  # of a unit that failed
            spread = self.reference.std(axis=0)
            # a filter that no reference image moves would otherwise stand above all others
            floor = 0.1 * spread.mean() + 1e-6
            return (found - self.reference.mean(axis=0)) / np.maximum(spread, floor)

    def measure(self, raw: np.ndarray, channels: np.ndarray) -> dict[str, np.ndarray]:
        """The measures of some pictures.

        Args:
            raw: [unit, height, width, channels] in the network's units.
            channels: [unit] which channel each is of.

        Returns:
            `quantile`: share of the reference images that excite the unit less, 0 to 1.
            `selectivity`: share of the layer's other channels that the picture excites less,
            each standardised over the reference images, 0 to 1.
            `robustness`: activation after small shifts over that without, 1 if it is the same.
        """
        found = self.activations(raw)
        rows = np.arange(len(channels))
        own = found[rows, channels]
        standard = self._standardised(found)
        above = standard < standard[rows, channels][:, None]
        others = max(1, found.shape[1] - 1)
        shifted = [
            self.activations(np.roll(raw, shift, (1, 2)))[rows, channels] for shift in _SHIFTS
        ]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            robustness = np.mean(shifted, axis=0) / own
        return {
            "quantile": (self.reference[:, channels] < own).mean(axis=0).astype(np.float32),
            "selectivity": (above.sum(axis=1) / others).astype(np.float32),
            "robustness": np.where(own == 0, np.nan, robustness).astype(np.float32),
        }


def reference_images(shape: tuple[int, ...], units: Units, seed: int = 0) -> np.ndarray:
    """Noise with the spectrum and colours of natural images, in the network's units.

    Example:
        >>> reference_images((8, 9, 3), Units(0.0, 1.0, None)).shape
        (32, 8, 9, 3)
    """
    size = (shape[0], shape[1], shape[2])
    noise = Fourier(sd=1.0, colour="natural", squash="none")
    made = []
    for key in jax.random.split(jax.random.key(seed, impl="threefry2x32"), _REFERENCES):
        values = noise.to_image(noise.init(key, size), size)
        values = jax.nn.sigmoid(_CONTRAST * (values - values.mean()) / (values.std() + 1e-6))
        low, high = units.low, units.high
        made.append(np.asarray(units.to_network(low + (high - low) * values)))
    return np.stack(made)


def agreement(
    one: Float[np.ndarray, "unit channels"], other: Float[np.ndarray, "unit channels"]
) -> Float[np.ndarray, " unit"]:
    """Cosine between what two pictures of a unit excite in its whole layer.

    Args:
        one: [unit, channels] standardised activations of one start's pictures.
        other: The same of another start's.

    Example:
        >>> agreement(np.ones((1, 4)), 2 * np.ones((1, 4))).round(6)
        array([1.])
    """
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.einsum("uc,uc->u", one, other) / np.maximum(lengths, 1e-12)


def _means(network: Network, layer: str, params: Any, images: jax.Array) -> jax.Array:
    source = network.spec.inputs_of([layer])[0].name
    activation = run(network.spec, params, {source: images}, [layer], network.forms)[layer]
    return activation.reshape(activation.shape[0], -1, activation.shape[-1]).mean(axis=1)
