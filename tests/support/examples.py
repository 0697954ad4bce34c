"""Examples of every objective, parameterization and transform, for the tests of their contracts."""

from __future__ import annotations

import numpy as np

from jaxviz.objectives import (
    Border,
    Caricature,
    Channel,
    Cosine,
    Direction,
    Inversion,
    LatentNorm,
    Layer,
    Logit,
    Neuron,
    Norm,
    TotalVariation,
)
from jaxviz.parameterizations import Fourier, Phase, Pixel
from jaxviz.transforms import (
    Blur,
    Box,
    Crop,
    Flip,
    Jitter,
    Noise,
    Octaves,
    Pad,
    Rotate,
    Scale,
)

#: A direction among the ten channels of `tiny_bundle`'s "conv2".
VECTOR = tuple(float(x) for x in np.random.default_rng(0).normal(size=10))
#: An image for the objectives that imitate one.
GIVEN = np.random.default_rng(5).uniform(-1, 1, (16, 16, 3)).astype(np.float32)
OBJECTIVES = [
    Neuron(layer="conv2/pre_activation"),
    Neuron(layer="conv1", channel=2, position=(0, 15)),
    Inversion(image=GIVEN),
    Caricature(image=GIVEN, layer="conv1"),
    Channel(),
    Channel(leak=0.2, trim=1),
    Channel(stage="pre_activation"),
    Channel(layer="conv1", channel=2),
    Layer(),
    Direction(vector=VECTOR),
    Direction(vector=VECTOR, cosine=2.0),
    Cosine(vector=VECTOR),
    Logit(layer="scores", label=1),
    TotalVariation(),
    TotalVariation(beta=2.0),
    TotalVariation(beta=1.5),
    Norm(p=1),
    Norm(p=6, over="size"),
    LatentNorm(),
    Border(width=3),
    Channel() - 0.5 * TotalVariation(),
    -Channel(),
    Channel() * Layer(),
]

PARAMETERIZATIONS = [
    Pixel(noise=0.5),
    Pixel(noise=0.5, distribution="normal", squash="clip"),
    Pixel(noise=1.0, colour="natural", squash="sigmoid"),
    Fourier(),
    Fourier(decay=0.85, colour="natural", squash="sigmoid", sd=0.1, stretch=True),
    Fourier(sd=1.0, standardise=True, squash="sigmoid"),
    Phase(spectrum="natural", squash="sigmoid"),
    Phase(spectrum=(1.0, 0.5, 0.25, 0.1)),
]

TRANSFORMS = [
    Pad(amount=3, value=0.2),
    Pad(amount=3, outside="reflect"),
    Pad(amount=3, outside="wrap"),
    Jitter(amount=4),
    Jitter(amount=4, wrap=True),
    Scale(factors=(0.9, 1.1), between=True, outside="wrap"),
    Scale(factors=(0.8, 1.2), value=0.3),
    Octaves(count=3),
    Octaves(count=2, ratio=2.0, order="random"),
    Rotate(degrees=(-10.0, 10.0), between=True, outside="edge"),
    Rotate(degrees=(5.0,), outside="wrap"),
    Rotate(degrees=(5.0,), value=0.4),
    Crop(amount=2),
    Box(start=0.5, end=0.2, pixels=9),
    Blur(low=0.5, high=1.5),
    Flip(),
    Flip(vertical=True),
    Noise(normal=0.1, uniform=0.1),
]
