"""One-dimensional networks: their pictures are signals, shown as curves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jaxviz
from jaxviz.bundle import store as bundles
from jaxviz.errors import ConfigError
from jaxviz.imaging.curves import curve_size, draw_curves
from jaxviz.jobs.recipe import AtlasRecipe
from jaxviz.jobs.run import make_atlas
from jaxviz.model import Model
from jaxviz.objectives import Activations, Network, Neuron, TotalVariation
from jaxviz.spec import InputRange
from tests.support.tiny import signal_bundle

RANGE = InputRange(low=(-1.0,), high=(1.0,))


@pytest.fixture(scope="module")
def bundle():
    return signal_bundle(range_=RANGE)


def test_the_default_preset_makes_signals(bundle):
    result = jaxviz.render(bundle, "conv2", objective="channel(trim=0)", steps=4, measure=True)
    assert result.raw.shape == (6, 1, 64, 2)
    assert np.isfinite(result.raw).all()
    assert (result.scores >= result.initial_scores).mean() > 0.6
    assert (result.measures["quantile"] > 0.5).mean() > 0.5
    seen = Model(bundle)(result.raw[:, 0], taps=("conv2",))[1]["conv2"]
    own = np.asarray(seen)[np.arange(6), :, np.arange(6)]
    np.testing.assert_allclose(result.scores, own.mean(axis=1), rtol=1e-4, atol=1e-5)


def test_the_default_gives_a_signal_one_energy_and_no_plateaus(bundle):
    """What goes into the sigmoid has a mean of 0 and a standard deviation of 1."""
    preset = jaxviz.PRESETS["robust"]
    raw = jaxviz.render(bundle, "conv2", [1, 4], steps=16).raw.astype(np.float64)
    share = (raw + 1) / 2
    values = np.log(share) - np.log1p(-share)
    np.testing.assert_allclose(values.mean(axis=(1, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(values.std(axis=(1, 2, 3)), 1, rtol=1e-3)
    filling = preset.change("level_signals=false")
    free = jaxviz.render(bundle, "conv2", [1, 4], preset=filling, steps=16).raw
    assert free.std() > raw.std()


def evaluate(bundle, objective, signal):
    params = {k: {n: jnp.asarray(w) for n, w in v.items()} for k, v in bundle.weights.items()}
    network = Network(bundle.spec, {}, (1, 64, 2))
    image = signal[None]
    return objective.value(Activations(network, params, image, image, image, "conv2", jnp.int32(3)))


@pytest.mark.parametrize("place", [0, 7, 31])
def test_a_neuron_sees_its_part_of_the_signal(bundle, place):
    signal = np.random.default_rng(0).uniform(-1, 1, (64, 2)).astype(np.float32)
    whole = np.asarray(Model(bundle)(signal[None], taps=("conv2",))[1]["conv2"])[0, place, 3]
    neuron = Neuron(position=(place,))
    np.testing.assert_allclose(evaluate(bundle, neuron, signal), whole, rtol=1e-5, atol=1e-6)
    gradient = jax.grad(lambda x: evaluate(bundle, neuron, x))(signal)
    assert np.isfinite(gradient).all()


def test_variation_is_along_the_signal(bundle):
    signal = np.random.default_rng(1).normal(size=(64, 2)).astype(np.float32)
    steps = np.diff(signal, axis=0)
    for beta, expected in ((1.0, np.abs(steps).sum()), (2.0, (steps**2).sum())):
        found = evaluate(bundle, TotalVariation(beta=beta), signal)
        np.testing.assert_allclose(found, expected / signal.size, rtol=1e-5)


def test_an_atlas_of_signals_shows_curves(bundle, tmp_path):
    model = str(bundles.save(bundle, tmp_path / "signals.bundle"))
    given = tmp_path / "given"
    given.mkdir()
    for number in range(3):
        values = np.random.default_rng(number).uniform(-1, 1, (100, 2))
        np.save(given / f"{number}.npy", values)
    path = str(tmp_path / "a.atlas")
    recipe = AtlasRecipe(
        model=model, output=path, preset="keras-io", steps=2, size=48, images=str(given)
    )
    make_atlas(recipe)
    layer = jaxviz.open_atlas(path)["conv2"]
    assert layer.images.shape == (6, 1, layer.plan.width, 2)
    with Image.open(tmp_path / "a.atlas" / "sheets" / "conv2.png") as sheet:
        assert sheet.mode == "RGB"
        assert sheet.height > 96
    page = (tmp_path / "a.atlas" / "index.html").read_text()
    assert f"{layer.plan.width} samples" in page
    with pytest.raises(ConfigError, match="no position 3, 4"):
        make_atlas(recipe.model_copy(update={"objective": "neuron(3, 4)"}))


def test_a_curve_is_high_where_its_signal_is():
    rising = np.linspace(0, 255, 128).astype(np.uint8).reshape(1, 1, 128, 1)
    tile = draw_curves(rising)[0].astype(int)
    assert tile.shape[:2] == curve_size(128, 1)
    blue = (tile[..., 2] - tile[..., 0]) > 60
    heights = [np.flatnonzero(column).mean() for column in blue.T[[5, 64, 120]]]
    assert heights[0] > 85
    assert 40 < heights[1] < 56
    assert heights[2] < 10
