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
    about="",
    source="",
    units=(0.0, 1.0),
    size=None,
    steps=64,
    objective=Channel(leak=0.1),
    parameterization=Fourier(colour="natural", squash="sigmoid"),
    transforms=(
        Jitter(amount=64, wrap=True),
        Scale(factors=(0.9, 1.1), between=True, outside="wrap"),
    ),
    optimizer=OptimizerConfig(
        optimizer=Call(name="adam"),
        learning_rate=0.1,
    ),
    rescue=True,
    display=Display(method="range"),
)

OWN = (ROBUST,)
