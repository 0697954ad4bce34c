"""Presets of other tools, with the numbers of those tools.

Where a preset differs from its source, its `about` says how.
"""

from __future__ import annotations

from jaxviz.imaging.display import Display
from jaxviz.objectives import Channel, Norm, TotalVariation
from jaxviz.parameterizations import Fourier, Phase, Pixel
from jaxviz.presets.optimizers import Call, OptimizerConfig
from jaxviz.presets.preset import Preset
from jaxviz.transforms import Blur, Box, Crop, Flip, Jitter, Noise, Pad, Rotate, Scale

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

# lucid `optvis/param/spatial.py`: sd 0.01, decay 1, a quarter of the spectrum's image.
_LUCID_IMAGE = Fourier(sd=0.01, decay=1.0, gain=0.25, colour="natural", squash="sigmoid")

DISTILL = Preset(
    name="distill",
    about="the article's own figures: 2560 steps",
    source="Olah et al., Feature Visualization, distill.pub 2017, appendix",
    units=(0.0, 1.0),
    size=128,
    steps=2560,
    parameterization=_LUCID_IMAGE,
    transforms=(
        Pad(amount=16, value=0.5),
        Jitter(amount=16),
        Scale(factors=(1.0, 0.975, 1.025, 0.95, 1.05)),
        Rotate(degrees=tuple(range(-5, 6))),
        Jitter(amount=8),
        Crop(amount=4),
    ),
    optimizer=OptimizerConfig(optimizer=Call(name="adam"), learning_rate=0.05),
)

LUCID = DISTILL.override(
    name="lucid",
    about="render_vis as it comes; gradients pass through every closed ReLU for 16 steps, where "
    "lucid lets only those through that would open it",
    source="lucid 0.3.10, optvis/render.py, transform.py",
    steps=512,
    transforms=(
        Pad(amount=12, value=0.5),
        Jitter(amount=8),
        Scale(factors=tuple(round(1 + (i - 5) / 50, 2) for i in range(11))),
        Rotate(degrees=(*range(-10, 11), *(0,) * 5)),
        Jitter(amount=4),
    ),
    redirect=16,
)

LUCENT = LUCID.override(
    name="lucent",
    about="render_vis of the PyTorch port: lucid's recipe without its redirected ReLUs",
    source="lucent, optvis/render.py, transform.py",
    redirect=0,
)

CAPTUM = DISTILL.override(
    name="captum",
    about="InputOptimization as it comes",
    source="captum.optim, _core/optimization.py, _param/image",
    size=224,
    steps=512,
    transforms=(
        Scale(factors=(1.0, 0.975, 1.025, 0.95, 1.05), outside="value", value=0.0),
        Pad(amount=16, outside="reflect"),
        Jitter(amount=32),
    ),
    optimizer=OptimizerConfig(optimizer=Call(name="adam"), learning_rate=0.025),
)

TF_KERAS_VIS = Preset(
    name="tf-keras-vis",
    about="ActivationMaximization as it comes: the picture itself wanders and turns",
    source="tf-keras-vis 0.8, activation_maximization/__init__.py, regularizers.py",
    units=(0.0, 255.0),
    size=None,
    steps=200,
    objective=Channel() - 1.0 * TotalVariation() - 0.3 * Norm(p=1),
    parameterization=Pixel(middle=127.5, noise=127.5),
    transforms=(
        Jitter(amount=4, wrap=True),
        Rotate(degrees=(-1.0, 1.0), between=True, outside="edge"),
    ),
    keep_transformed=True,
    optimizer=OptimizerConfig(
        optimizer=Call(name="rmsprop", arguments={"decay": 0.999, "eps": 1e-7}), learning_rate=1.0
    ),
)

KERAS_VIS = Preset(
    name="keras-vis",
    about="visualize_activation as it comes: the best of 200 iterates",
    source="keras-vis, vis/optimizer.py, regularizers.py, utils.deprocess_input",
    units=(0.0, 255.0),
    size=None,
    steps=200,
    objective=Channel() - 10.0 * Norm(p=6, over="size") - 10.0 * TotalVariation(beta=2.0),
    parameterization=Pixel(middle=127.5, noise=12.75, distribution="normal"),
    optimizer=OptimizerConfig(
        optimizer=Call(name="rmsprop", arguments={"decay": 0.95, "eps": 1e-7}),
        learning_rate=1.0,
        gradient="rms",
    ),
    keep="best",
    display=Display(method="standardise", contrast=0.1),
)

_UNIT = 512 // 16
XPLIQUE = Preset(
    name="xplique",
    about="optimize as it comes; amounts follow the size, as generate_standard_transformations",
    source="xplique, features_visualizations/optim.py, transformations.py, preconditioning.py",
    units=(0.0, 1.0),
    size=512,
    steps=256,
    parameterization=Fourier(
        sd=0.01, decay=0.85, gain=0.25, colour="natural", squash="sigmoid", stretch=True
    ),
    transforms=(
        Pad(amount=4 * _UNIT, value=0.0),
        *(Jitter(amount=2 * _UNIT),) * 2,
        *(Jitter(amount=4 * _UNIT),) * 3,
        Scale(factors=(0.92, 0.96), between=True, value=0.0),
        Blur(low=1.0, high=1.1),
        *(Jitter(amount=_UNIT),) * 2,
        Flip(),
    ),
    amounts_follow_size=True,
    optimizer=OptimizerConfig(optimizer=Call(name="adam"), learning_rate=0.05),
)

MACO = Preset(
    name="maco",
    about="fixed magnitudes, 32 windows a step; a 1/frequency spectrum unless --images are given",
    source="Fel et al. 2023; xplique, features_visualizations/maco.py",
    units=(0.0, 1.0),
    size=512,
    steps=256,
    parameterization=Phase(spectrum="natural", colour="natural", squash="sigmoid"),
    transforms=(Box(pixels=224, start=0.5, end=0.05), Noise(normal=0.08, uniform=0.04)),
    draws=32,
    optimizer=OptimizerConfig(optimizer=Call(name="nadam"), learning_rate=1.0),
)

HORAMA = Preset(
    name="horama",
    about="fourier as it comes; windows of 20 to 25 %, as documented, not 25 to 30 % as computed",
    source="Horama, horama/fourier_fv.py, common.py",
    units=(0.0, 1.0),
    size=1280,
    steps=1000,
    parameterization=Fourier(
        sd=1.0, decay=1.5, standardise=True, colour="natural", squash="sigmoid"
    ),
    transforms=(
        Box(pixels=224, start=0.225, spread=0.025, uniform=True),
        Noise(normal=0.05, uniform=0.025),
    ),
    draws=6,
    optimizer=OptimizerConfig(optimizer=Call(name="nadam"), learning_rate=1.0),
)

DREAMLENS = LUCENT.override(
    name="dreamlens",
    about="channel tiles: small and short; the best of 3 starts with --attempts 3; "
    "transforms are lucid's",
    source="dreamlens, channel tiles",
    size=80,
    steps=128,
)
