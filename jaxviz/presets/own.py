"""Our own presets, with the default."""

from __future__ import annotations

from jaxviz.imaging.display import Display
from jaxviz.objectives import Channel
from jaxviz.parameterizations import Fourier
from jaxviz.presets.optimizers import Call, OptimizerConfig
from jaxviz.presets.preset import Preset, Texture
from jaxviz.transforms import Jitter, Scale

#: Share of the ascent that searches for a shape; the rest refines the shape where it is.
_SEARCH = 0.3

ROBUST = Preset(
    name="robust",
    about="shapes and textures: a Fourier image in natural colours, rolled and scaled at first so "
    "that a shape is found wherever it lies, then worked out on the network's own grid; 64 steps",
    source="our own, chosen by eye and by score on MobileNetV2 and mini-Xception: "
    "benchmarks/presets",
    units=(0.0, 1.0),
    size=None,
    steps=64,
    # Only the middle of the map counts at first, or every position composes its own shape. The
    # pre-activation has a weight of a tenth, so that no unit is stuck.
    objective=Channel(leak=0.1, trim=1, trim_until=_SEARCH),
    # Steps along the gradient pass through envelope and colours twice, and Adam's steps once.
    # So both are milder than in recipes for Adam.
    parameterization=Fourier(temper=0.75, within_field=True, colour="natural", squash="sigmoid"),
    # The picture is a torus: nothing is padded, so every step moves visible pixels.
    transforms=(
        Jitter(amount=16, wrap=True, roam=True, fade=_SEARCH),
        Scale(factors=(0.9, 1.1), between=True, outside="wrap", fade=_SEARCH),
    ),
    # Steps along the gradient change the pixels that the unit sees; Adam's change all.
    optimizer=OptimizerConfig(
        optimizer=Call(name="sgd"),
        learning_rate=0.12,
        gradient="rms",
        schedule=Call.parse("cosine_decay_schedule:decay_steps=steps,exponent=0.5"),
    ),
    # A feature that fills the picture many times needs no long search.
    texture=Texture(share=0.5, search=1 / 3, step=1.5),
    level_signals=True,
    rescue=True,
    display=Display(method="range"),
)
