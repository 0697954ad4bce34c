"""Image files of every kind arrive in the network's units, and the changes are reported."""

import numpy as np
import pytest
from PIL import Image

from jaxviz.errors import ConfigError, ImageSizeError
from jaxviz.figures import from_arrays, read_images
from jaxviz.imaging.ranges import parse_range, preprocess_range
from jaxviz.spec import Affine, InputRange, InputSpec, ModelSpec, Node

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (24, 24, 3), dtype=np.uint8)


def spec(channels=3, size=(24, 24), range_=None, op=None):
    op = op or Affine(scale=(1.0,), offset=(0.0,))
    return ModelSpec(
        name="net",
        inputs=(InputSpec(name="image", shape=(*size, channels)),),
        nodes=(Node(name="first", layer="first", inputs=("image",), op=op),),
        outputs=("first",),
        range=range_,
    )


def written(tmp_path, picture, name="a.png"):
    picture.save(tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize(
    ("range_", "expected"),
    [
        (parse_range("0:1"), lambda p: p / 255),
        (parse_range("-1:1"), lambda p: p / 127.5 - 1),
        (parse_range("0:255"), lambda p: p * 1.0),
        (preprocess_range("caffe"), lambda p: p[..., ::-1] - [103.939, 116.779, 123.68]),
    ],
)
def test_pixels_reach_the_network_in_its_units(tmp_path, range_, expected):
    path = written(tmp_path, Image.fromarray(PIXELS))
    read = read_images([path], spec(range_=range_))
    np.testing.assert_allclose(read.inputs[0], expected(PIXELS.astype(float)), atol=1e-3)
    np.testing.assert_array_equal(read.shown[0], PIXELS)
    assert read.notes == ()
    assert read.names == ("a",)


def test_a_given_range_wins_and_an_unknown_one_is_reported(tmp_path):
    path = written(tmp_path, Image.fromarray(PIXELS))
    known = spec(range_=InputRange(low=(0.0,), high=(255.0,)))
    assert read_images([path], known, range_=parse_range("0:1")).inputs.max() <= 1
    unknown = read_images([path], spec())
    assert any("range is not known" in note for note in unknown.notes)
    rescaling = spec(op=Affine(scale=(1 / 255,), offset=(0.0,)))
    assert read_images([path], rescaling).inputs.max() > 200


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_of_image(tmp_path, mode, channels):
    grey = np.repeat(PIXELS[..., :1], 3, axis=-1)
    if mode.startswith("I"):
        deep = PIXELS[..., 0].astype(np.uint16) * 257
        picture = Image.fromarray(deep if mode == "I;16" else deep.astype(np.int32))
        picture.save(tmp_path / "a.tiff")
        path = tmp_path / "a.tiff"
    elif mode == "F":
        picture = Image.fromarray(PIXELS[..., 0].astype(np.float32) / PIXELS[..., 0].max())
        picture.save(tmp_path / "a.tiff")
        path = tmp_path / "a.tiff"
    else:
        path = written(tmp_path, Image.fromarray(grey).convert(mode), "a.tiff")
    read = read_images([path], spec(channels), range_=parse_range("0:1"))
    assert read.inputs.shape == (1, 24, 24, channels)
    assert read.shown.shape == (1, 24, 24, 3)
    if mode not in ("1", "P"):
        scale = 255 if mode != "F" else PIXELS[..., 0].max()
        wanted = np.repeat(PIXELS[..., :1] / scale, channels, axis=-1)
        np.testing.assert_allclose(read.inputs[0], wanted, atol=2.5 / 255)
    if mode in ("L", "1", "LA", "I;16") and channels == 3:
        assert any("Grey images" in note for note in read.notes)
    if mode in ("RGB", "RGBA") and channels == 1:
        assert any("turned grey" in note for note in read.notes)


def test_transparent_pixels_are_black(tmp_path):
    pixels = np.full((24, 24, 4), 200, np.uint8)
    pixels[:, :12, 3], pixels[:, 12:, 3] = 0, 255
    read = read_images([written(tmp_path, Image.fromarray(pixels))], spec())
    assert read.shown[0, :, :12].max() == 0
    assert (read.shown[0, :, 12:] == 200).all()


def test_images_are_cut_about_the_centre_and_resized(tmp_path):
    wide = np.zeros((40, 120, 3), np.uint8)
    wide[:, 40:80] = 255
    read = read_images([written(tmp_path, Image.fromarray(wide))], spec(size=(20, 20)))
    assert read.shown.min() > 230  # resampling reads a little beyond the cut
    assert any("cut to the network's proportions and resized to 20×20" in n for n in read.notes)


def test_orientation_of_cameras(tmp_path):
    pixels = np.zeros((24, 24, 3), np.uint8)
    pixels[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # displayed rotated clockwise
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    read = read_images([tmp_path / "a.png"], spec())
    assert read.shown[0, :, -4:].min() == 255
    assert read.shown[0, :, :-4].max() == 0


def test_a_network_of_any_size_takes_the_first_images_size(tmp_path):
    first = written(tmp_path, Image.fromarray(PIXELS[:20]), "a.png")
    second = written(tmp_path, Image.fromarray(PIXELS), "b.png")
    free = spec(size=(None, None))
    assert read_images([first, second], free).inputs.shape == (2, 20, 24, 3)
    assert read_images([first], free, size=(8, 8)).inputs.shape == (1, 8, 8, 3)


def test_arrays_are_in_the_networks_units(tmp_path):
    array = RNG.normal(size=(24, 24, 5)).astype(np.float32)
    np.save(tmp_path / "a.npy", array)
    read = read_images([tmp_path / "a.npy"], spec(5))
    np.testing.assert_array_equal(read.inputs[0], array)
    assert from_arrays(array[None]).shown.shape == (1, 24, 24, 3)


def test_mistakes(tmp_path):
    good = written(tmp_path, Image.fromarray(PIXELS))
    text = tmp_path / "text.png"
    text.write_text("not an image")
    cut = tmp_path / "cut.png"
    cut.write_bytes(good.read_bytes()[:300])
    np.save(tmp_path / "shape.npy", np.zeros((24, 24, 4)))
    np.save(tmp_path / "size.npy", np.zeros((9, 24, 3)))
    for path, message in [
        (text, "is not an image that can be read"),
        (cut, "cannot be read as an image|is not an image"),
        (tmp_path / "nowhere.png", "there is no image"),
        (tmp_path, "cannot be read as an image"),
        (tmp_path / "shape.npy", r"of shape \[24, 24, 4\], expected .*\[height, width, 3\]"),
        (tmp_path / "size.npy", "is 9×24 pixels, expected 24×24"),
    ]:
        with pytest.raises(ImageSizeError, match=message):
            read_images([path], spec())
    with pytest.raises(ImageSizeError, match=r"takes 5 channels.*\n.*\.npy"):
        read_images([good], spec(5))
    with pytest.raises(ImageSizeError, match=r"2 of 3 images cannot be used\n.*text.*\n.*cut"):
        read_images([text, good, cut], spec())
    with pytest.raises(ConfigError, match="range has 3 channels, the network's input 1"):
        read_images([good], spec(1), range_=preprocess_range("torch"))
    with pytest.raises(ImageSizeError, match="expected \\[image, height, width, channel\\]"):
        from_arrays(np.zeros((4, 4, 3)))
