"""Pooling figures show the network's own maps and the right numbers."""

import numpy as np
import pytest

from jaxviz.errors import ConfigError, LayerError
from jaxviz.figures.pooling import pooled, pooling_layers, pooling_maps
from jaxviz.figures.pooling_example import EXAMPLE_MAP, pooling_example
from jaxviz.model import Model
from jaxviz.spec import Pool
from tests.support.tiny import tiny_bundle

IMAGES = np.random.default_rng(0).uniform(size=(2, 16, 16, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    return Model(tiny_bundle())


def test_pooled_is_what_the_layer_gives_and_the_average_is_the_mean(model):
    _, seen = model(IMAGES, taps=("conv1", "pool1"))
    op = model.spec.node("pool1").op
    before = np.asarray(seen["conv1"])
    np.testing.assert_array_equal(pooled(before, op, "max"), seen["pool1"])
    blocks = before.reshape(2, 8, 2, 8, 2, 6)
    np.testing.assert_allclose(pooled(before, op, "average"), blocks.mean((2, 4)), atol=1e-6)


def test_maps_on_the_page_are_those_of_the_network(model):
    figure = pooling_maps(model, IMAGES, layers=["pool1"], channels=[4, 1])
    _, seen = model(IMAGES, taps=("conv1", "pool1"))
    drawn = [np.asarray(i.get_array()) for i in figure.axes[0].images]
    for image in range(2):
        for channel in (4, 1):
            for tap in ("conv1", "pool1"):
                wanted = np.asarray(seen[tap])[image, ..., channel]
                assert any(d.shape == wanted.shape and np.allclose(d, wanted) for d in drawn)
    words = [t.get_text() for t in figure.axes[0].texts]
    assert {"max ●", "average", "before", "channel 4"} <= set(words)


def test_the_example_names_the_chosen_values():
    figure = pooling_example()
    words = figure.axes[0].texts
    grid = np.array(EXAMPLE_MAP).reshape(3, 2, 3, 2)
    expected = sorted(f"{n:g}" for n in grid.max((1, 3)).ravel())
    bold = [t.get_text() for t in words if t.get_weight() == "bold"]
    heading = "Pooling over 2×2 windows, stride 2"
    numbers = [w for w in bold if w not in (heading, "map", "max", "average")]
    assert sorted(numbers[:9]) == expected  # in the map
    assert sorted(numbers[9:18]) == expected  # in the result
    assert numbers[18:] == [f"{n:g}" for n in grid.mean((1, 3)).ravel()]


def test_which_layers_pool(model):
    assert pooling_layers(model.spec) == ("pool1",)
    with pytest.raises(LayerError, match=r"(?s)do not pool.*conv1: activation"):
        pooling_layers(model.spec, ["conv1"])
    with pytest.raises(LayerError, match="no maps"):
        pooling_layers(model.spec, ["mean"])


def test_mistakes(model):
    with pytest.raises(ConfigError, match="does not fit a map of 2×2"):
        pooling_example([[1, 2], [3, 4]], window=3)
    with pytest.raises(LayerError, match="6 channels"):
        pooling_maps(model, IMAGES, channels=[9])


def test_average_pooling_does_not_count_padding():
    op = Pool(kind="average", window=(2, 2), strides=(2, 2), padding="same")
    maps = np.full((1, 3, 3, 1), 5.0)
    np.testing.assert_allclose(pooled(maps, op, "average"), 5.0)
