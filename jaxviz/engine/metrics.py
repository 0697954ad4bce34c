"""Measure finished pictures, to compare units, pictures and starts.

All measures use untransformed pictures. They compare a picture with reference images, which were
not optimised: the user's images, or noise with the spectrum and colours of natural images.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache, partial
from threading import Event
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxviz.imaging.ranges import ValueRange
from jaxviz.model.graph import Params
from jaxviz.objectives import Network
from jaxviz.parameterizations import Fourier
from jaxviz.runtime.workers import CompiledOnce, lane_count, side_by_side
from jaxviz.runtime.xla_options import compiler_options

# Circular shifts (down, right) in pixels, over which robustness is averaged.
_SHIFTS = ((3, 0), (-1, 3), (-2, -2))
# Number of generated reference images, and their contrast before the sigmoid: about as photographs.
_REFERENCES, _CONTRAST = 32, 1.0
# Range of the plain images. A sigmoid saturates at pure black and white.
_MOVABLE = (0.12, 0.88)


class Responses(NamedTuple):
    """A layer's responses to some images.

    Attributes:
        mean: [image, channels] mean of each channel over its map.
        peak: [image, channels] maximum pre-activation of each channel over its map.
    """

    mean: np.ndarray
    peak: np.ndarray


class Assessor:
    """Measures pictures of one layer's units; one compiled program serves all measures.

    Args:
        network: The architecture and how it is computed.
        params: The network's weights.
        layer: The layer.
        units: The network's input range against the preset's.
        chunk: Number of images in one call.
        references: [image, height, width, channels] in the network's input units; None for
            noise like natural images.
    """

    def __init__(
        self,
        network: Network,
        params: Params,
        layer: str,
        units: ValueRange,
        chunk: int,
        references: np.ndarray | None = None,
    ) -> None:
        self._params, self._chunk = params, chunk
        self._shape, self._units = network.shape, units
        self._given = references
        options = compiler_options(jax.default_backend(), "little")
        responses = jax.jit(partial(_responses, network, layer), compiler_options=options)
        self._compiled = CompiledOnce(responses)
        self._lanes = lane_count(jax.default_backend())

    def lowered(self, params: Params) -> jax.stages.Lowered:
        """Lower the program.

        Args:
            params: The weights, or their shapes.
        """
        images = jax.ShapeDtypeStruct((self._chunk, *self._shape), jnp.float32)
        lowered: jax.stages.Lowered = self._compiled.lower(params, images)
        return lowered

    def activations(self, raw: np.ndarray) -> Float[np.ndarray, "image channels"]:
        """The mean of each channel over its map.

        Args:
            raw: [image, height, width, channels] in the network's input units.
        """
        return self._measured(raw).mean

    def likeliest(self, channels: np.ndarray, rank: int = 0) -> Float[np.ndarray, "unit h w c"]:
        """Find the image that comes closest to making each unit fire.

        Args:
            channels: [unit] channel numbers.
            rank: 0 for the closest image, 1 for the second closest, …

        Returns:
            [unit, height, width, channels] reference images or plain images, in the network's
            input units.
        """
        images, peaks = self._starts
        order = np.argsort(-peaks[:, channels], axis=0, kind="stable")
        nearest: np.ndarray = images[order[rank % len(order)]]
        return nearest

    @cached_property
    def _references(self) -> np.ndarray:
        return reference_images(self._shape, self._units) if self._given is None else self._given

    @property
    def reference(self) -> Float[np.ndarray, "image channels"]:
        """The mean of each channel over its map, for each reference image."""
        return self._on_references.mean

    @cached_property
    def _on_references(self) -> Responses:
        return self._measured(self._references)

    @cached_property
    def _starts(self) -> tuple[np.ndarray, np.ndarray]:
        """Images that a dead unit may start from, and their peaks [image, channels]."""
        plain = plain_images(self._shape, self._units)
        peaks = self._measured(plain).peak
        return np.concatenate([self._references, plain]), np.concatenate(
            [self._on_references.peak, peaks]
        )

    def _measured(self, raw: np.ndarray) -> Responses:
        starts = range(0, len(raw), self._chunk)
        lanes = np.array_split(np.asarray(starts), min(len(starts), self._lanes))

        def measured(some: np.ndarray, ending: Event) -> list[Responses]:
            return [self._chunk_of(raw[first : first + self._chunk]) for first in some]

        found = [responses for lane in side_by_side(measured, lanes) for responses in lane]
        return Responses(*(np.concatenate(part) for part in zip(*found, strict=True)))

    def _chunk_of(self, some: np.ndarray) -> Responses:
        count = len(some)
        if count < self._chunk:
            some = np.concatenate([some, np.repeat(some[-1:], self._chunk - count, axis=0)])
        mean, peak = jax.device_get(self._compiled(self._params, some))
        return Responses(np.asarray(mean)[:count], np.asarray(peak)[:count])

    def standard(self, raw: np.ndarray) -> Float[np.ndarray, "image channels"]:
        """The mean of each channel over its map, standardised over the reference images.

        Args:
            raw: [image, height, width, channels] in the network's input units.
        """
        return self._standardised(self.activations(raw))

    def agreement(
        self, raw: np.ndarray, starts: Sequence[np.ndarray], replicates: int
    ) -> Float[np.ndarray, " unit"]:
        """Compare the pictures of each unit: from all starts, or otherwise its replicates.

        Args:
            raw: [unit, height, width, channels] the kept pictures.
            starts: The pictures from each start, in the same shape; the kept ones are among them.
            replicates: Number of neighbouring rows that belong to one unit.

        Returns:
            Mean cosine (-1 to 1) between a picture's activations and the other pictures'.
        """
        own = self.standard(raw)
        if len(starts) > 1:
            alike = np.stack([agreement(own, self.standard(start)) for start in starts])
            # without the kept picture, which agrees with itself
            others: np.ndarray = (alike.sum(axis=0) - 1) / (len(starts) - 1)
            return others
        groups = own.reshape(-1, replicates, own.shape[-1])
        turned = [np.roll(groups, n, axis=1).reshape(own.shape) for n in range(1, replicates)]
        mean: np.ndarray = np.mean([agreement(own, other) for other in turned], axis=0)
        return mean

    def _standardised(self, found: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):  # a failed unit is not finite
            spread = self.reference.std(axis=0)
            # the floor keeps a channel that no reference image moves from dominating
            floor = 0.1 * spread.mean() + 1e-6
            standard: np.ndarray = (found - self.reference.mean(axis=0)) / np.maximum(spread, floor)
            return standard

    def measure(self, raw: np.ndarray, channels: np.ndarray) -> dict[str, np.ndarray]:
        """Measure some pictures.

        Args:
            raw: [unit, height, width, channels] in the network's input units.
            channels: [unit] the channel of each picture's unit.

        Returns:
            {name: [unit] float32}:
            `quantile`: fraction (0 to 1) of the reference images that excite the unit less.
            `selectivity`: fraction (0 to 1) of the layer's other channels that the picture
            excites less, each standardised over the reference images.
            `robustness`: mean activation after small shifts / activation; 1 if shifts change
            nothing, NaN if the activation is 0.
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


@lru_cache(maxsize=2)  # most layers of an atlas share a shape
def reference_images(shape: tuple[int, ...], units: ValueRange, seed: int = 0) -> np.ndarray:
    """Generate noise with the spectrum and colours of natural images.

    Args:
        shape: (height, width, channels).
        units: The network's input range against the preset's.
        seed: Seed of the noise.

    Returns:
        [image, height, width, channels] in the network's input units.

    Example:
        >>> reference_images((8, 9, 3), ValueRange(0.0, 1.0, None)).shape
        (32, 8, 9, 3)
    """
    # NumPy, because JAX would spend a second on compiling
    height, width, channels = shape
    noise = Fourier(sd=1.0, colour="natural", squash="none")
    parts = np.random.default_rng(seed).standard_normal(
        (2, _REFERENCES, channels, height, width // 2 + 1)
    )
    spectra = (parts[0] + 1j * parts[1]) * noise.envelope((height, width))
    planes = np.fft.irfft2(spectra, s=(height, width)).astype(np.float32)
    values = np.stack([noise.finish(image) for image in np.moveaxis(planes, 1, -1)])
    axes = (1, 2, 3)
    values -= values.mean(axes, keepdims=True)
    values /= values.std(axes, keepdims=True) + 1e-6
    values = 1 / (1 + np.exp(-_CONTRAST * values))
    return np.asarray(units.to_network(units.low + (units.high - units.low) * values))


def plain_images(shape: tuple[int, ...], units: ValueRange) -> np.ndarray:
    """Make images unlike photographs: flat ones, spots, edges, dark and uneven ones.

    A network trained on galaxies or pen strokes may not respond to images like natural ones.

    Args:
        shape: (height, width, channels).
        units: The network's input range against the preset's.

    Returns:
        [image, height, width, channels] in the network's input units.

    Example:
        >>> plain_images((8, 9, 3), ValueRange(0.0, 1.0, None)).shape
        (41, 8, 9, 3)
    """
    height, width, channels = shape
    low, high = units.low, units.high
    noise = (np.asarray(units.from_network(reference_images(shape, units, seed=1)[:6])) - low) / (
        high - low
    )
    y = np.linspace(-1, 1, height)[:, None] if height > 1 else np.zeros((1, 1))
    x = np.linspace(-1, 1, width)[None]
    spots = [np.exp(-(y**2 + x**2) / (2 * size**2)) for size in (0.1, 0.25, 0.5)]
    edges = [x > 0, y > 0, x + y > 0, np.sin(12 * x) > 0, np.sin(12 * y) > 0]
    planes = [np.broadcast_to(p, (height, width)).astype(float) for p in (*spots, *edges)]
    grey = [p[..., None] * np.ones(channels) for one in planes for p in (one, 1 - one)]
    flat = [np.full(shape, value) for value in (0.0, 0.25, 0.75, 1.0)]
    one_channel = np.eye(channels)[: 3 if channels > 1 else 0]
    flat += [np.ones(shape) * value for one in one_channel for value in (one, 1 - one)]
    uneven = [change(one) for one in noise for change in (np.square, np.sqrt)]
    dark = [0.3 * one for one in noise[:3]]
    images = low + (high - low) * np.clip(np.stack([*grey, *flat, *uneven, *dark]), *_MOVABLE)
    return np.asarray(units.to_network(images.astype(np.float32)))


def agreement(
    one: Float[np.ndarray, "unit channels"], other: Float[np.ndarray, "unit channels"]
) -> Float[np.ndarray, " unit"]:
    """The cosine between the activations that two pictures of a unit cause in its layer.

    Args:
        one: [unit, channels] standardised activations of one start's pictures.
        other: [unit, channels] standardised activations of another start's pictures.

    Returns:
        -1 to 1.

    Example:
        >>> agreement(np.ones((1, 4)), 2 * np.ones((1, 4))).round(6)
        array([1.])
    """
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosines: np.ndarray = np.einsum("uc,uc->u", one, other) / np.maximum(lengths, 1e-12)
    return cosines


def _responses(
    network: Network, layer: str, params: Params, images: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Each channel's mean, and its maximum pre-activation over all positions [image, channels]."""
    before = network.pre_activation(layer) or layer
    found = network.run(params, images, [layer, before])
    flat = {n: x.reshape(x.shape[0], -1, x.shape[-1]) for n, x in found.items()}
    return flat[layer].mean(axis=1), flat[before].max(axis=1)
