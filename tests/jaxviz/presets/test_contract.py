"""One contract for every objective, parameterization, transform and preset, in a whole ascent.

Values are finite. The same key gives the same picture. No picture depends on its chunk, its order
or its neighbours. The score rises. Images have 1, 3 and 5 channels, odd and even sizes. The numbers
of each part are tested beside the part.
"""

import itertools

import numpy as np
import pytest

from jaxviz.engine.renderer import LayerRenderer
from jaxviz.objectives import OBJECTIVES, Channel, Diversity
from jaxviz.parameterizations import PARAMETERIZATIONS, Phase, Pixel
from jaxviz.presets import PRESETS, Preset
from jaxviz.presets.optimizers import OptimizerConfig
from jaxviz.spec import InputRange
from jaxviz.status import UnitStatus
from jaxviz.transforms import TRANSFORMS
from tests.support import examples
from tests.support.presets import settled
from tests.support.tiny import tiny_bundle

KINDS = list(itertools.product((3, 1, 5), (15, 16)))
PLAIN = Preset(
    name="plain",
    units=(0.0, 1.0),
    steps=4,
    objective=Channel(),
    parameterization=Pixel(middle=0.5, noise=0.1, squash="none"),
    optimizer=OptimizerConfig(learning_rate=0.3, gradient="l2"),
)
#: The default suite tries one part of each kind with one image; the slow suite tries every part
#: with every image.
PARTS = [
    *[(f"objective-{n}-{o.kind}", {"objective": o}) for n, o in enumerate(examples.OBJECTIVES)],
    ("objective-diversity", {"objective": Channel() + Diversity(), "replicates": 2}),
    *[
        (f"parameterization-{n}-{p.kind}", {"parameterization": p})
        for n, p in enumerate(examples.PARAMETERIZATIONS)
    ],
    *[(f"transform-{n}-{t.kind}", {"transforms": (t,)}) for n, t in enumerate(examples.TRANSFORMS)],
]
#: Parts whose score need not rise by steps uphill.
RISES_NOT = {"noise"}


def cases():
    seen = set()
    for number, (name, changes) in enumerate(PARTS):
        new = name.split("-")[-1] not in seen
        seen.add(name.split("-")[-1])
        for place, kind in enumerate(KINDS):
            first = new and place == number % len(KINDS)
            marks = () if first else (pytest.mark.slow,)
            yield pytest.param(changes, *kind, id=f"{name}-{kind[0]}ch-{kind[1]}px", marks=marks)


def fitted(changes, channels, size):
    """A part that fits images with a number of channels."""
    objective, latent = changes.get("objective"), changes.get("parameterization")
    if hasattr(objective, "image"):
        image = np.random.default_rng(1).uniform(0, 1, (size, size, channels)).astype(np.float32)
        changes = {**changes, "objective": objective.model_copy(update={"image": image})}
    if getattr(objective, "channel", None) is not None:
        # With random weights the named channel may be zero everywhere.
        before = {"layer": f"{objective.layer}/pre_activation"}
        if getattr(objective, "position", None):
            before["position"] = tuple(min(p, size - 1) for p in objective.position)
        changes = {**changes, "objective": objective.model_copy(update=before)}
    if getattr(objective, "leak", 0):  # a zero unit takes some steps to become positive
        changes = {**changes, "steps": 12}
    if isinstance(latent, Phase) and latent.spectrum == "natural" and channels == 5:
        latent = latent.model_copy(update={"spectrum": (1.0, 0.5, 0.2)})
        changes = {**changes, "parameterization": latent}
    return PLAIN.override(**changes)


def test_everything_is_tried():
    tried = {name.split("-")[2] for name, _ in PARTS if name.count("-") == 2} | {"diversity"}
    arithmetic = {"sum", "scaled", "product"}
    assert (set(OBJECTIVES) | set(PARAMETERIZATIONS) | set(TRANSFORMS)) - arithmetic <= tried


@pytest.mark.parametrize(("changes", "channels", "size"), cases())
def test_every_part_of_a_preset(changes, channels, size):
    # Every pre-activation has a gradient.
    layer = "conv2" if "objective" in changes else "conv2/pre_activation"
    check(fitted(changes, channels, size), channels, size, layer=layer)


def check(preset, channels, size, *, layer="conv2", close=1e-3, rises=True):
    bundle = tiny_bundle(channels=channels, range_=InputRange(low=(0.0,), high=(1.0,)))
    units = [1, 4, 7] if preset.objective.per_channel else [0]
    renderer = LayerRenderer.for_layer(bundle, layer, preset, size=size, chunk=min(2, len(units)))
    whole = renderer.render(units, 0)
    assert np.isfinite(whole.raw).all()
    assert np.isfinite(whole.scores).all()
    assert ((whole.images >= 0) & (whole.images <= 1)).all()
    if rises and not any(t.kind in RISES_NOT for t in preset.transforms):
        live = whole.status == UnitStatus.DONE
        assert live.any()
        assert (whole.scores >= whole.initial_scores)[live].mean() > 0.6
    # In another order the units have other neighbours and other places in the chunk.
    again = renderer.render(units[::-1], 0)
    count = preset.replicates
    turned = again.raw.reshape(-1, count, *again.raw.shape[1:])[::-1].reshape(whole.raw.shape)
    scale = max(1.0, float(np.abs(whole.raw).max()))
    np.testing.assert_allclose(turned / scale, whole.raw / scale, rtol=0, atol=close)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_for_other_numbers_of_channels(name, channels):
    preset = small(PRESETS[name])
    if isinstance(preset.parameterization, Phase) and channels == 5:
        preset = preset.change("parameterization.spectrum=[1.0, 0.5, 0.2]")
    check(settled(preset), channels, 41, rises=False)


def small(preset):
    """A preset with few windows and draws, for a test."""
    transforms = tuple(
        t.model_copy(update={"pixels": 24}) if t.kind == "box" else t for t in preset.transforms
    )
    draws = min(2, preset.draws)
    return preset.override(transforms=transforms, draws=draws, steps=3, rescue=False)
