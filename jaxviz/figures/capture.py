"""Activations of several layers for images: one forward pass that keeps every layer asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np

from jaxviz.model import Model
from jaxviz.model.graph import run

#: Images computed at once.
BATCH = 32


@dataclass(frozen=True)
class Captured:
    """Activations of several layers for several images.

    Attributes:
        maps: {layer: float32 [image, …, channel]}.
        output: float32 [image, …], the network's first output.
    """

    maps: Mapping[str, np.ndarray]
    output: np.ndarray


def capture(model: Model, images: np.ndarray, layers: Sequence[str]) -> Captured:
    """Run images through a network and keep the activations of some layers.

    Args:
        model: The network.
        images: [image, height, width, channel] in the network's input units.
        layers: Names of layers.

    Raises:
        LayerError: If a layer does not exist.

    Example:
        >>> import jaxviz
        >>> model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
        >>> capture(model, np.zeros((2, *model.input_shape)), ["conv1"]).maps["conv1"].shape
        (2, 96, 96, 16)
    """
    parts = list(capture_batches(model, slices(images), layers))
    return Captured(
        {name: np.concatenate([part.maps[name] for part in parts]) for name in layers},
        np.concatenate([part.output for part in parts]),
    )


def slices(images: np.ndarray, batch: int = BATCH) -> Iterator[np.ndarray]:
    """An array of images as float32 batches; the last may be smaller.

    Example:
        >>> [len(part) for part in slices(np.zeros((5, 1)), 2)]
        [2, 2, 1]
    """
    for start in range(0, len(images), batch):
        yield np.asarray(images[start : start + batch], np.float32)


def capture_batches(
    model: Model, batches: Iterable[np.ndarray], layers: Sequence[str]
) -> Iterator[Captured]:
    """Like `capture`, batch by batch, for more images than fit in memory.

    Args:
        model: The network.
        batches: Batches of images, as `slices` gives them.
        layers: Names of layers.
    """
    spec = model.spec
    for name in layers:
        spec.node(name)
    first = spec.outputs[0]
    wanted = tuple(dict.fromkeys([first, *layers]))
    forward = jax.jit(lambda arrays, x: run(spec, arrays, {spec.inputs[0].name: x}, wanted))
    size = 0
    for part in batches:
        spec.shapes(part.shape[1:])
        # A smaller last batch is padded to the size of the first, so one program serves all.
        size = size or len(part)
        padded = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
        values = {k: np.asarray(v)[: len(part)] for k, v in forward(model.arrays(), padded).items()}
        yield Captured(values, values[first])
