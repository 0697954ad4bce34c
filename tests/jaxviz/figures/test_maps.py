"""Feature maps: the right numbers in the right tiles, honest scales, and a page that is tidy."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from jaxviz._util.filenames import encode
from jaxviz.errors import ConfigError, JaxvizError, LayerError
from jaxviz.figures import feature_maps, from_arrays, save, save_arrays
from jaxviz.figures.canvas import Canvas
from jaxviz.figures.choose import choose_channels
from jaxviz.figures.classes import class_bars, class_labels
from jaxviz.figures.rows import Scale
from jaxviz.figures.style import THEMES, get_theme
from tests.support.tidy import assert_tidy, chain, texts_of


def pictures(count, size=(32, 32), channels=3):
    rng = np.random.default_rng(count)
    return rng.uniform(size=(count, *size, channels)).astype(np.float32)


def test_the_tiles_hold_the_maps_of_the_network():
    model, images = chain(2), pictures(2)
    figure = feature_maps(
        model, images, layers=["convolution_number_1"], channels=[4, 1], normalise="layer"
    )
    maps = np.asarray(model(images, taps=["convolution_number_1"])[1]["convolution_number_1"])
    shown = [
        np.asarray(i.get_array()) for i in figure.axes[0].images if i.get_array().shape == (32, 32)
    ]
    expected = [maps[row, ..., channel] for row in range(2) for channel in (4, 1)]
    assert len(shown) == 4
    for found, wanted in zip(shown, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("layers", "images", "theme"),
    [(1, 1, "light"), (1, 12, "dark"), (3, 2, "light"), (6, 4, "dark"), (12, 12, "light")],
)
def test_tidy_at_any_number_of_layers_and_images(layers, images, theme):
    model = chain(12, channels=3 if layers % 2 else 1, classes=5 if layers < 6 else 40)
    given = from_arrays(
        pictures(images, channels=model.input_shape[2]),
        [f"a photograph with a rather long file name {i}" for i in range(images)],
    )
    names = [f"convolution_number_{k}" for k in range(1, layers + 1)]
    figure = feature_maps(model, given, layers=names, theme=theme, title="What the layers see")
    assert_tidy(figure)
    assert figure.get_facecolor()[:3] == pytest.approx(_rgb(THEMES[theme].page), abs=0.01)


@pytest.mark.parametrize(
    "settings",
    [
        {"maps": 1},
        {"maps": 6, "normalise": "map"},
        {"channels": "strongest", "colormap": "gray"},
        {"layers": ["*/pre_activation"], "normalise": "map"},
        {"labels": ["a very long name of a class indeed"] * 4 + ["short"]},
    ],
)
@pytest.mark.parametrize("size", [(32, 32), (20, 44), (44, 20)])
def test_tidy_with_any_setting(settings, size):
    model = chain(4, size=size)
    assert_tidy(feature_maps(model, pictures(2, size), **settings))


def test_other_channel_counts_have_an_input_too():
    model = chain(2, channels=5)
    assert_tidy(feature_maps(model, pictures(1, channels=5)))


def test_signed_maps_have_zero_in_the_middle_and_others_begin_there():
    theme = get_theme("light")
    assert Scale.of(np.array([[-1.0, 3.0]]), theme) == Scale(theme.diverging, (-3.0, 3.0))
    assert Scale.of(np.array([[1.0, 3.0]]), theme) == Scale(theme.sequential, (0.0, 3.0))
    assert Scale.of(np.zeros((4, 4)), theme).limits == (0.0, 1.0)


def test_one_hot_pixel_does_not_darken_a_layer_and_is_not_hidden():
    values = np.random.default_rng(0).uniform(size=(1, 40, 40, 2))
    values[0, 3, 3, 0] = 50.0
    scale = Scale.of(values, get_theme("light"))
    assert scale.clipped
    assert 0.9 < scale.limits[1] < 1.1
    sparse = np.zeros((1, 40, 40, 1))
    sparse[0, 3, 3] = 50.0
    assert Scale.of(sparse, get_theme("light")).limits == (0.0, 50.0)


def test_clipping_is_written_on_the_colour_bar():
    model = chain(1)
    images = np.full((1, 32, 32, 3), 0.1, np.float32)
    images[0, 10, 10] = 30.0
    figure = feature_maps(model, images, layers=["convolution_number_1"], channels="strongest")
    assert any(text.startswith("≥") for text in texts_of(figure))


def test_each_map_states_its_own_scale():
    model, images = chain(1), pictures(1)
    figure = feature_maps(
        model, images, layers=["convolution_number_1"], channels=[2], normalise="map"
    )
    maps = np.asarray(model(images, taps=["convolution_number_1"])[1]["convolution_number_1"])
    (caption,) = [text for text in texts_of(figure) if text.startswith("2: 0…")]
    stated = float(caption.removeprefix("2: 0…").rstrip("+"))
    if caption.endswith("+"):
        assert np.mean(maps[..., 2] > stated) < 0.01
    else:
        assert stated == pytest.approx(maps[..., 2].max(), rel=0.05)
    assert any("does not compare" in text for text in texts_of(figure))


def test_the_predicted_class_is_marked():
    model, images = chain(2), pictures(3)
    labels = ["ant", "bee", "cat", "dog", "eel"]
    figure = feature_maps(model, images, labels=labels)
    bold = [t.get_text() for t in figure.axes[0].texts if t.get_weight() == "bold"]
    output = np.asarray(model(images))
    assert [t for t in bold if t in labels] == [labels[k] for k in output.argmax(-1)]
    assert "class probabilities" in bold


def test_scores_are_not_called_probabilities():
    model = chain(2)
    fields = {name: getattr(model.spec, name) for name in type(model.spec).model_fields}
    model.spec = type(model.spec)(**{**fields, "outputs": ("scores",)})
    figure = feature_maps(model, pictures(2))
    assert "class scores" in texts_of(figure)
    assert "class probabilities" not in texts_of(figure)
    assert_tidy(figure)


def test_one_output_and_several_sigmoids_have_the_scale_of_probabilities():
    theme = get_theme("light")
    for output, title in [([[0.5]], "output"), ([[0.5, 0.25, 0.9]], "class scores")]:
        values = np.array(output)
        labels = class_labels(chain(1).spec, None, values.shape[1])
        side, canvas = class_bars(values, labels), Canvas(3, 2, theme)
        side.draw(canvas, 0, 0.2, 0.2, 1.5)
        widths = [patch.get_width() for patch in canvas.ax.patches[1:]]
        assert side.title == title
        np.testing.assert_allclose(np.array(widths) / widths[0], values[0] / values[0, 0])
        assert widths[0] == pytest.approx(0.5 * 0.85)  # the bar's whole length is 1


def test_labels_of_a_network_without_classes():
    model = chain(2)
    fields = {name: getattr(model.spec, name) for name in type(model.spec).model_fields}
    model.spec = type(model.spec)(**{**fields, "outputs": ("pool2",)})
    assert_tidy(feature_maps(model, pictures(1)))
    with pytest.raises(ConfigError, match="no classes to label: its output is of shape 16×16×6"):
        feature_maps(model, pictures(1), labels=["a"])


def test_every_image_chooses_a_channel():
    maps = np.zeros((2, 4, 4, 5))
    maps[0, 0, 0, 3] = 100.0
    maps[0, 0, 1, 4] = 90.0
    maps[1, 1, 1, 1] = 0.1
    assert choose_channels(maps, 2) == (1, 3)
    assert choose_channels(maps, 2, "strongest") == (1, 3)
    assert choose_channels(maps, 3, "first") == (0, 1, 2)
    assert choose_channels(np.array([0.0, 2.0, 0.0, 3.0])[None, None, None], 2) == (1, 3)


def test_drawn_into_an_axes_or_a_subfigure_of_somebody():
    figure = Figure(figsize=(8, 4))
    left, right = figure.subfigures(1, 2)
    feature_maps(chain(2), pictures(1), fig=left)
    axes = right.subplots()
    assert feature_maps(chain(2), pictures(1), ax=axes) is figure
    assert len(axes.images) > 4
    assert len(figure.axes) == 2


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_saved_and_the_same_again(tmp_path, ending):
    figures = [feature_maps(chain(1), np.full((1, 32, 32, 3), 0.5)) for _ in range(2)]
    files = [save(f, tmp_path / f"{i}{ending}").read_bytes() for i, f in enumerate(figures)]
    assert files[0] == files[1]
    assert len(files[0]) > 3000


def test_arrays_of_any_number_of_images(tmp_path):
    import zarr

    model, images = chain(3), pictures(11)
    layers = ["convolution_number_1", "pool2", "convolution_number_3/pre_activation"]
    expected = model(images, taps=layers)[1]
    stored = np.load(save_arrays(model, images, layers, tmp_path / "a.npz"))
    path = save_arrays(model, images, layers, tmp_path / "a.zarr", batch=4)
    group = zarr.open_group(path, mode="r")
    for name in layers:
        np.testing.assert_allclose(stored[encode(name)], expected[name], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(group[encode(name)][:].shape, expected[name].shape)
        np.testing.assert_allclose(group[encode(name)][:], expected[name], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(group["output"][:], stored["output"], rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": ["convolution_numbr_1"]}, "Did you mean convolution_number_1"),
        ({"layers": ["mean"]}, "mean: its output is 6"),
        ({"channels": [99]}, r"has 6 channels \(0 to 5\), not channel 99"),
        ({"channels": []}, "empty list"),
        ({"labels": ["a", "b"]}, "2 labels, but model 'chain' has 5 classes"),
        ({"normalise": "image"}, "There are: layer, map"),
        ({"colormap": "nice"}, "no colour map 'nice'"),
        ({"theme": "blue"}, "There are: light, dark"),
        ({"channels": "best"}, "There are: first, strongest, variance"),
    ],
)
def test_mistakes(settings, message):
    with pytest.raises(JaxvizError, match=message):
        feature_maps(chain(2), pictures(1), **settings)


def test_files_that_cannot_be_written(tmp_path):
    figure = Figure(figsize=(1, 1))
    for name, message in [("a.jpg", "End it in .png"), ("no/a.png", "no folder")]:
        with pytest.raises(ConfigError, match=message):
            save(figure, tmp_path / name)
    with pytest.raises(ConfigError, match="fewer images"):
        save(Figure(figsize=(1, 700)), tmp_path / "a.png")


def test_a_network_without_maps():
    with pytest.raises(LayerError, match="no layer with maps"):
        feature_maps(chain(0), pictures(1))


def _rgb(colour):
    return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
