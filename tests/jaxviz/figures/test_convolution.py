"""The worked example says what Keras computes, and every number on the page is the right one."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from jaxviz.errors import ConfigError
from jaxviz.figures import convolution_animation, convolution_example
from jaxviz.figures.convolve import KERNELS, convolve, parse_grid

RNG = np.random.default_rng(0)


def texts(figure):
    return [t.get_text() for t in figure.axes[0].texts]


def by_loop(image, kernel, stride, border, dilation):
    """The definition, one number at a time."""
    (above, below), (before, after) = border
    padded = np.zeros((image.shape[0] + above + below, image.shape[1] + before + after))
    padded[above : above + image.shape[0], before : before + image.shape[1]] = image
    reach = [(n - 1) * dilation for n in kernel.shape]
    rows = range(0, padded.shape[0] - reach[0], stride)
    columns = range(0, padded.shape[1] - reach[1], stride)
    return np.array(
        [
            [
                sum(
                    padded[y + i * dilation, x + j * dilation] * kernel[i, j]
                    for i in range(kernel.shape[0])
                    for j in range(kernel.shape[1])
                )
                for x in columns
            ]
            for y in rows
        ]
    )


@pytest.mark.parametrize(
    ("shape", "window", "stride", "dilation"),
    [
        ((6, 6), (3, 3), 1, 1),
        ((7, 5), (2, 3), 2, 1),
        ((9, 8), (3, 2), 1, 2),
        ((8, 8), (3, 3), 3, 2),
    ],
)
def test_valid_is_the_definition(shape, window, stride, dilation):
    image, kernel = RNG.normal(size=shape), RNG.normal(size=window)
    found = convolve(image, kernel, stride=stride, dilation=dilation).output
    expected = by_loop(image, kernel, stride, ((0, 0), (0, 0)), dilation)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (3, 1), (1, 2)])
def test_same_is_what_keras_does(stride, dilation):
    keras = pytest.importorskip("keras")
    image, kernel = RNG.normal(size=(7, 6)), RNG.normal(size=(3, 2))
    expected = keras.ops.conv(
        image[None, ..., None].astype("float32"),
        kernel[..., None, None].astype("float32"),
        strides=stride,
        padding="same",
        dilation_rate=dilation,
    )
    found = convolve(image, kernel, stride=stride, padding="same", dilation=dilation)
    np.testing.assert_allclose(found.output, np.asarray(expected)[0, ..., 0], atol=1e-5)
    assert found.padded[~found.outside].reshape(image.shape).tolist() == image.tolist()
    assert not found.padded[found.outside].any()


def test_the_page_shows_every_number_of_a_step():
    image, kernel = [[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[1, 0], [0, -10]]
    words = texts(convolution_example(image, kernel, step=1))
    assert "2·1 + 3·0 + 5·0 + 6·(−10) = −58" in words
    # the image, the kernel, the products and, of the output, what is done by then
    numbers = [w for w in words if w.replace("−", "").replace(".", "").isdigit()]
    assert numbers == [*"123456789", "1", "0", "0", "−10", "2", "0", "0", "−60", "−49", "−58"]


def test_without_a_step_the_strongest_is_explained_and_all_are_shown():
    words = texts(convolution_example([[0, 0, 0], [0, 0, 7]], [[1, 2]]))
    assert "0·1 + 7·2 = 14" in words
    assert words.count("14") == 2  # in the products and in the output


def test_nothing_overlaps():
    figure = convolution_example(
        np.full((8, 8), -1234.5), KERNELS["outline"], padding="same", theme="dark"
    )
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [t.get_window_extent(renderer) for t in figure.axes[0].texts if t.get_text()]
    page = figure.bbox
    for i, box in enumerate(boxes):
        assert box.x0 >= page.x0
        assert box.x1 <= page.x1
        assert box.y0 >= page.y0
        assert box.y1 <= page.y1
        for other in boxes[i + 1 :]:
            assert not (
                box.x0 < other.x1 and other.x0 < box.x1 and box.y0 < other.y1 and other.y0 < box.y1
            )


def test_animation_has_a_frame_for_each_output_cell(tmp_path):
    path = convolution_animation(tmp_path / "a.gif", stride=2, padding="same", seconds=0.3, dpi=40)
    with Image.open(path) as file:
        assert file.n_frames == 9
        assert file.info["loop"] == 0
        frames = []
        for i in range(9):
            file.seek(i)
            frames.append(np.asarray(file.convert("RGB"), int))
    assert all((a != b).any() for a, b in zip(frames, frames[1:], strict=False))
    assert all((frame[0, 0] == 255).all() for frame in frames)  # white stays white


def test_draws_into_given_axes():
    figure = Figure(figsize=(4, 3))
    ax = figure.add_subplot()
    assert convolution_example(ax=ax) is figure


def test_grids_are_read():
    np.testing.assert_array_equal(parse_grid("1, 2; 3 4"), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(parse_grid("mean"), np.full((2, 2), 0.25))
    with pytest.raises(ConfigError, match="vertical-edge"):
        parse_grid("1 2; 3")
    with pytest.raises(ConfigError, match="not a grid"):
        parse_grid("sobel")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": [[1, 2], [3, 4]]}, "window of 3×3 does not fit into an image of 2×2"),
        ({"image": np.zeros((40, 40))}, "too large to read"),
        ({"image": [1, 2, 3]}, "expected rows and columns"),
        ({"kernel": [[np.nan]]}, "expected rows and columns"),
        ({"stride": 0}, "at least 1"),
        ({"padding": "full"}, "valid, same"),
        ({"step": 99}, "0 to 15"),
        ({"theme": "blue"}, "light, dark"),
    ],
)
def test_mistakes(arguments, message):
    with pytest.raises(ConfigError, match=message):
        convolution_example(**arguments)


def test_an_animation_is_a_gif(tmp_path):
    with pytest.raises(ConfigError, match=r"\.gif"):
        convolution_animation(tmp_path / "a.mp4")
