"""The recipes of other tools, with their own numbers.

Where a recipe cannot be had exactly, its `about` says what differs.
"""

from __future__ import annotations

from jaxviz.display import Display
from jaxviz.objectives import Channel
from jaxviz.optimizers import OptimizerConfig
from jaxviz.parameterizations import Pixel
from jaxviz.presets.preset import Preset

KERAS_IO = Preset(
    name="keras-io",
    about="the published loop: random grey, 30 steps of length 10 along the gradient",
    source="keras.io/examples/vision/visualizing_what_convnets_learn",
    units=(-1.0, 1.0),
    size=180,
    steps=30,
    objective=Channel(trim=2),
    # (uniform(0, 1) - 0.5) · 0.25
    parameterization=Pixel(noise=0.125),
    optimizer=OptimizerConfig(learning_rate=10.0, gradient="l2"),
    display=Display(method="standardise", contrast=0.15, crop=25 / 180),
)

ARTICLE = KERAS_IO.override(
    name="article",
    about="the published loop from plain grey, counting all but the outermost positions",
    source="the article that the project grew from; for the rest keras.io",
    objective=Channel(trim=1),
    parameterization=Pixel(noise=0.0),
)

PUBLISHED = (KERAS_IO, ARTICLE)
