"""Filter weights: every view shows the numbers of the kernel, on the scale it states."""

import numpy as np
import pytest

import jaxviz
from jaxviz.bundle import Bundle
from jaxviz.errors import ConfigError, LayerError
from jaxviz.figures import filter_weights
from jaxviz.figures.kernels import columns_for, kernels, mosaic
from jaxviz.model import Model
from jaxviz.spec import Conv, ConvTranspose, DepthwiseConv, InputSpec, ModelSpec, Node
from tests.support.models import real_model
from tests.support.tidy import assert_tidy, chain, texts_of
from tests.support.tiny import random_weights

GEOMETRY = {"strides": (1, 1), "dilation": (1, 1)}


def network(op, channels):
    spec = ModelSpec(
        name="one",
        inputs=(InputSpec(name="image", shape=(16, 16, channels)),),
        nodes=(
            Node(
                name="conv",
                layer="conv",
                inputs=("image",),
                op=op,
                weights={"kernel": "kernel", "bias": "bias"},
            ),
        ),
        outputs=("conv",),
    )
    return Model(Bundle(spec, random_weights(spec)))


def conv(filters=4, window=(3, 3), channels=3):
    op = Conv(filters=filters, window=window, padding="same", **GEOMETRY)
    return network(op, channels)


def picture(figure):
    """The one large image of a figure of one layer."""
    return max((i.get_array() for i in figure.axes[0].images), key=lambda a: a.shape[0])


def kernel_of(model):
    return np.asarray(model.arrays()["conv"]["kernel"])


def test_colour_has_grey_at_zero_and_the_largest_weight_at_an_end():
    model = conv(filters=4)
    kernel = kernel_of(model)
    shown = np.asarray(picture(filter_weights(model)))
    side, reach = 24, np.abs(kernel).max()
    tile = shown[:side:8, :side:8]  # the first filter, one value of each square
    np.testing.assert_allclose(tile, 0.5 + kernel[..., 0] / (2 * reach), atol=1e-6)
    inside = np.concatenate([shown[:side, :side].ravel(), shown[:side, side + 3 : 51].ravel()])
    assert inside.min() >= 0
    assert inside.max() <= 1


@pytest.mark.parametrize(
    ("normalise", "scaled"),
    [
        ("symmetric", lambda k: k),
        ("layer", lambda k: k),
        ("filter", lambda k: k / np.abs(k).max(axis=(0, 1, 2))),
    ],
)
def test_one_channel_and_its_scales(normalise, scaled):
    model = conv(filters=4, channels=1)
    kernel = kernel_of(model)
    figure = filter_weights(model, normalise=normalise)
    shown = picture(figure)
    np.testing.assert_allclose(shown[:24:8, :24:8], scaled(kernel)[:, :, 0, 0], rtol=1e-6)
    reach = np.abs(kernel).max()
    expected = {
        "symmetric": (-reach, reach),
        "layer": (kernel.min(), kernel.max()),
        "filter": (-1.0, 1.0),
    }[normalise]
    norm = figure.axes[0].images[-1].norm
    assert (norm.vmin, norm.vmax) == pytest.approx(expected)


def test_a_map_for_each_filter_and_input_channel():
    model = conv(filters=3, channels=5)
    shown = picture(filter_weights(model))
    kernel = kernel_of(model)
    assert shown.shape == (3 * 27 - 3, 5 * 27 - 3)  # filters down: the longer axis runs across
    np.testing.assert_allclose(
        shown[27 * 2 : 27 * 2 + 24 : 8, 27 * 4 : 27 * 4 + 24 : 8], kernel[:, :, 4, 2], rtol=1e-6
    )
    model = conv(filters=5, channels=4)
    shown = picture(filter_weights(model))
    np.testing.assert_allclose(
        shown[27 * 3 : 27 * 3 + 24 : 8, 27 * 1 : 27 * 1 + 24 : 8],
        kernel_of(model)[:, :, 3, 1],
        rtol=1e-6,
    )


def test_pointwise_kernels_and_norms_are_tables():
    model = conv(filters=8, window=(1, 1), channels=5)
    figure = filter_weights(model)
    np.testing.assert_allclose(picture(figure), kernel_of(model)[0, 0], rtol=1e-6)
    model = conv(filters=4, channels=6)
    norms = np.sqrt((kernel_of(model).astype(np.float64) ** 2).sum(axis=(0, 1))).T
    np.testing.assert_allclose(picture(filter_weights(model, view="norms")), norms, rtol=1e-5)


def test_depthwise_and_transposed_kernels():
    op = DepthwiseConv(multiplier=2, window=(3, 3), padding="same", **GEOMETRY)
    model = network(op, 5)
    (kernel,) = kernels(model)
    # Output channel c·M + m comes from input channel c.
    np.testing.assert_array_equal(kernel.values[:, :, 0, 7], kernel_of(model)[:, :, 3, 1])
    assert kernel.size == "10 filters, 3×3, depthwise"
    op = ConvTranspose(filters=4, window=(2, 2), crop=((0, 0), (0, 0)), **GEOMETRY)
    model = network(op, 3)
    (kernel,) = kernels(model)
    np.testing.assert_array_equal(kernel.values[:, :, 2, 1], kernel_of(model)[:, :, 1, 2])


def test_before_and_after_share_one_scale():
    before, after = chain(2, seed=1), chain(2, seed=2)
    figure = filter_weights(after, before=before, layers=["convolution_number_2"])
    norms = {(i.norm.vmin, i.norm.vmax) for i in figure.axes[0].images}
    assert len(norms) == 1
    largest = max(
        float(np.abs(m.arrays()["convolution_number_2"]["kernel"]).max()) for m in (before, after)
    )
    assert norms.pop()[1] == pytest.approx(largest)
    texts = texts_of(figure)
    assert any(t.startswith("before · ") for t in texts)
    assert any(t.startswith("after · ") for t in texts)
    assert_tidy(figure)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", ["auto", "channels", "norms"])
@pytest.mark.parametrize("layers", [1, 5, 12])
def test_tidy(layers, view, theme):
    names = [f"convolution_number_{k}" for k in range(1, layers + 1)]
    model = chain(12, channels=3 if theme == "light" else 1)
    assert_tidy(filter_weights(model, layers=names, view=view, theme=theme, title="Weights"))


@pytest.mark.parametrize("name", ["fer.hdf5", "mobilenetv2.model", "pycda_unet.h5"])
def test_tidy_on_trained_networks(name):
    model = jaxviz.load(real_model(name))
    figure = filter_weights(model)
    assert_tidy(figure)
    assert max(figure.get_size_inches()) < 20


def test_large_layers_say_what_is_left_out():
    texts = texts_of(filter_weights(conv(filters=100, channels=40)))
    assert any("first 16 filters by first 16 inputs" in t for t in texts)


def test_mosaic_places_every_tile():
    tiles = np.arange(6 * 2 * 2).reshape(6, 2, 2).astype(float)
    image = mosaic(tiles, 3)
    assert image.shape == (51, 78)
    np.testing.assert_array_equal(image[27 : 27 + 24 : 12, 54 : 54 + 24 : 12], tiles[5])
    assert np.isnan(image[24:27]).all()
    assert [columns_for(n) for n in (1, 2, 4, 64)] == [1, 2, 2, 8]


def test_mistakes():
    model = chain(2)
    for layers, message in [
        (["pool2"], "pool2: pool"),
        (["convolution_number_9"], "Did you mean"),
        (["po*"], "no convolution of that name"),
    ]:
        with pytest.raises(LayerError, match=message):
            filter_weights(model, layers=layers)
    with pytest.raises(LayerError, match="not in the network from before"):
        filter_weights(model, before=chain(1))
    with pytest.raises(LayerError, match="3×3×1 before"):
        filter_weights(model, before=chain(2, channels=1))
    with pytest.raises(ConfigError, match="There are: auto, channels, norms"):
        filter_weights(model, view="colour")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="There are: symmetric, layer, filter"):
        filter_weights(model, normalise="image")  # type: ignore[arg-type]
