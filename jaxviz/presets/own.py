"""Our own recipes; the first is what a user gets without asking."""

from __future__ import annotations

from jaxviz.display import Display
from jaxviz.objectives import Channel
from jaxviz.optimizers import Call, OptimizerConfig
from jaxviz.parameterizations import Fourier
from jaxviz.presets.preset import Preset
from jaxviz.transforms import Jitter, Scale

ROBUST = Preset(
    name="robust",
    about="shapes and textures: a Fourier image in natural colours that is rolled and scaled, "
    "with a tenth of what goes into each activation, so that no unit is stuck; 64 steps",
    source="our own, chosen by eye on MobileNetV2 and mini-Xception; benchmarks/presets scores "
    "an earlier form of it",
    units=(0.0, 1.0),
    size=None,
    steps=64,
    # The border's positions see the zeros that a network pads with, and learn to like frames.
    objective=Channel(leak=0.1, trim=1),
    parameterization=Fourier(colour="natural", squash="sigmoid"),
    # The picture is a torus: nothing is padded, so no step is spent outside of it.
    transforms=(
        Jitter(amount=16, wrap=True, roam=True),
        Scale(factors=(0.9, 1.1), between=True, fade=True, outside="wrap"),
    ),
    # Twice lucid's step and an eighth of its steps: the same pictures, a little less polished.
    optimizer=OptimizerConfig(optimizer=Call(name="adam"), learning_rate=0.1),
    rescue=True,
    display=Display(method="range"),
)

OWN = (ROBUST,)
