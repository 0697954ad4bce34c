"""What a finished picture is worth: measures that compare units, pictures and starts.

All are taken of the clean picture. Reference images say what a unit does when nobody tries
to please it: images that the user gives, or else noise with the spectrum and colours of
natural images.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache, partial
from threading import Event
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxviz.imaging.ranges import ValueRange
from jaxviz.objectives import Network
from jaxviz.parameterizations import Fourier
from jaxviz.runtime.workers import CompiledOnce, lane_count, side_by_side
from jaxviz.runtime.xla_options import compiler_options

#: Shifts in pixels, down and right, that robustness is taken over; the sides are joined.
_SHIFTS = ((3, 0), (-1, 3), (-2, -2))
#: How many reference images are made where none are given, and their contrast before the
#: sigmoid: about that of photographs.
_REFERENCES, _CONTRAST = 32, 1.0
#: How dark and light plain images are: from black itself a sigmoid hardly comes back.
_MOVABLE = (0.12, 0.88)


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
        units: ValueRange,
        chunk: int,
        references: np.ndarray | None = None,
    ) -> None:
        self._params, self._chunk = params, chunk
        self._shape, self._units = network.shape, units
        self._given = references
        options = compiler_options(jax.default_backend(), "little")
        seen = jax.jit(partial(_responses, network, layer), compiler_options=options)
        self._compiled = CompiledOnce(seen)
        self._lanes = lane_count(jax.default_backend())

    def lowered(self, params: Any) -> jax.stages.Lowered:
        """The program, for weights of which only the shapes are given."""
        images = jax.ShapeDtypeStruct((self._chunk, *self._shape), jnp.float32)
        return self._compiled.lower(params, images)

    def activations(self, raw: np.ndarray) -> Float[np.ndarray, "image channels"]:
        """Mean of every channel over every image's map."""
        return self._measured(raw)[0]

    def likeliest(self, channels: np.ndarray, rank: int = 0) -> Float[np.ndarray, "unit h w c"]:
        """For each unit the image that comes nearest to making it fire.

        Args:
            channels: [unit] channel numbers.
            rank: 0 for the nearest, 1 for the second, …

        Returns:
            One of the reference images or of some plain ones, in the network's units.
        """
        images, peaks = self._starts
        order = np.argsort(-peaks[:, channels], axis=0, kind="stable")
        return images[order[rank % len(order)]]

    @cached_property
    def _references(self) -> np.ndarray:
        return reference_images(self._shape, self._units) if self._given is None else self._given

    @property
    def reference(self) -> Float[np.ndarray, "image channels"]:
        """What every unit does on every reference image."""
        return self._on_references[0]

    @cached_property
    def _on_references(self) -> tuple[np.ndarray, np.ndarray]:
        return self._measured(self._references)

    @cached_property
    def _starts(self) -> tuple[np.ndarray, np.ndarray]:
        plain = plain_images(self._shape, self._units)
        peaks = self._measured(plain)[1]
        return np.concatenate([self._references, plain]), np.concatenate(
            [self._on_references[1], peaks]
        )

    def _measured(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        starts = range(0, len(raw), self._chunk)
        lanes = np.array_split(np.asarray(starts), min(len(starts), self._lanes))

        def measured(some: np.ndarray, ending: Event) -> list[tuple[np.ndarray, np.ndarray]]:
            return [self._chunk_of(raw[first : first + self._chunk]) for first in some]

        found = [pair for lane in side_by_side(measured, lanes) for pair in lane]
        means, peaks = (np.concatenate(part) for part in zip(*found, strict=True))
        return means, peaks

    def _chunk_of(self, some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count = len(some)
        if count < self._chunk:
            some = np.concatenate([some, np.repeat(some[-1:], self._chunk - count, axis=0)])
        means, peaks = jax.device_get(self._compiled(self._params, some))
        return np.asarray(means)[:count], np.asarray(peaks)[:count]

    def standard(self, raw: np.ndarray) -> Float[np.ndarray, "image channels"]:
        """The same, standardised over the reference images."""
        return self._standardised(self.activations(raw))

    def agreement(
        self, raw: np.ndarray, starts: Sequence[np.ndarray], replicates: int
    ) -> Float[np.ndarray, " unit"]:
        """How alike the pictures of a unit are: from all starts, or else its replicates.

        Args:
            raw: [unit, height, width, channels] the kept pictures.
            starts: The same from every start, of which the kept ones are the best.
            replicates: How many neighbouring rows are pictures of one unit.
        """
        own = self.standard(raw)
        if len(starts) > 1:
            alike = np.stack([agreement(own, self.standard(start)) for start in starts])
            # the kept one agrees with itself, which says nothing
            return (alike.sum(axis=0) - 1) / (len(starts) - 1)
        groups = own.reshape(-1, replicates, own.shape[-1])
        turned = [np.roll(groups, n, axis=1).reshape(own.shape) for n in range(1, replicates)]
        return np.mean([agreement(own, other) for other in turned], axis=0)

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


@lru_cache(maxsize=2)  # most layers of an atlas have the same
def reference_images(shape: tuple[int, ...], units: ValueRange, seed: int = 0) -> np.ndarray:
    """Noise with the spectrum and colours of natural images, in the network's units.

    Example:
        >>> reference_images((8, 9, 3), ValueRange(0.0, 1.0, None)).shape
        (32, 8, 9, 3)
    """
    # in NumPy: as JAX operations these few arrays would take a second to compile
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
    """Images that are not like photographs: flat, dark and light, spots, edges, in units.

    A network that was trained on galaxies or on strokes of a pen may fire at none of the
    reference images.

    Args:
        shape: (height, width, channels).
        units: The network's range.

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


def _responses(
    network: Network, layer: str, params: Any, images: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """[image, channels]: mean of every channel, and the most that goes into its activation."""
    before = network.pre_activation(layer) or layer
    found = network.run(params, images, [layer, before])
    flat = {n: x.reshape(x.shape[0], -1, x.shape[-1]) for n, x in found.items()}
    return flat[layer].mean(axis=1), flat[before].max(axis=1)
