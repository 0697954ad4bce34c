"""Images that the user gives: read at any size, and what a preset takes from them."""

import numpy as np
import pytest
from PIL import Image

from jaxviz.errors import ConfigError, ImageSizeError
from jaxviz.imaging.files import read_image
from jaxviz.imaging.ranges import PREPROCESS, ValueRange
from jaxviz.jobs.references import GivenImages, coloured, measured_decay
from jaxviz.presets import PRESETS
from jaxviz.spec import InputRange
from tests.support.tiny import signal_bundle, tiny_bundle

ROBUST = PRESETS["robust"]


def test_a_folder_of_images_at_the_pictures_size(tmp_path):
    spec = tiny_bundle(range_=InputRange(low=(-1.0,), high=(1.0,))).spec  # of 16×16
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[..., 0] = 255
    for name in ("a.png", "b.jpg"):
        Image.fromarray(pixels).save(tmp_path / name, quality=95)
    given = GivenImages(str(tmp_path), spec)
    read = given.read((24, 24))
    assert read.shape == (2, 24, 24, 3)
    np.testing.assert_allclose(read[0], np.broadcast_to([1.0, -1.0, -1.0], (24, 24, 3)), atol=1e-6)
    assert len(given.digest) == 64


def test_arrays_of_any_number_of_bands_are_cut_and_resized(tmp_path):
    spec = tiny_bundle(channels=5).spec
    ramp = np.arange(30.0)[None, :, None] * np.ones((20, 1, 5))
    np.save(tmp_path / "a.npy", ramp)
    read = read_image(str(tmp_path / "a.npy"), spec=spec, shape=(10, 10, 5))
    assert read.shape == (10, 10, 5)
    np.testing.assert_allclose(read[4, :, 2], 5 + 0.5 + 2 * np.arange(10), atol=0.6)
    signals = signal_bundle().spec
    np.save(tmp_path / "b.npy", np.arange(50.0)[:, None] * np.ones(2))
    assert read_image(str(tmp_path / "b.npy"), spec=signals, shape=(1, 25, 2)).shape == (1, 25, 2)
    with pytest.raises(ImageSizeError, match=r"of shape \[20, 30, 5\], expected .*\[length, 2\]"):
        read_image(str(tmp_path / "a.npy"), spec=signals, shape=(1, 25, 2))
    (tmp_path / "c.npy").write_text("nothing")
    with pytest.raises(ImageSizeError, match="is not a NumPy array"):
        read_image(str(tmp_path / "c.npy"), spec=spec, shape=(10, 10, 5))
    with pytest.raises(ConfigError, match="no folder"):
        GivenImages(str(tmp_path / "nowhere"), spec)


def test_a_preset_takes_colours_mean_and_spectrum():
    rng = np.random.default_rng(0)
    mixing = np.array([[0.1, 0.0, 0.0], [0.05, 0.02, 0.0], [0.0, 0.0, 0.04]])
    smooth = rng.normal(size=(6, 32, 32, 3)).cumsum(axis=1).cumsum(axis=2)
    smooth = (smooth - smooth.mean(axis=(1, 2), keepdims=True)) / smooth.std()
    images = np.array([0.2, 0.3, 0.1]) + smooth @ mixing.T
    caffe = PREPROCESS["caffe"]  # channels the other way round, and centred
    units = ValueRange(0.0, 1.0, caffe)
    found = coloured(ROBUST, np.asarray(units.to_network(images)), units).parameterization
    np.testing.assert_allclose(found.centre, [0.2, 0.3, 0.1], atol=0.01)
    root = np.array(found.colour)
    expected = np.cov(images.reshape(-1, 3).T)
    np.testing.assert_allclose(root @ root.T, expected, atol=1e-3 * expected.max())
    assert found.decay == measured_decay(images) > 1.2
    start = np.asarray(found.to_image(np.zeros((2, 3, 32, 17), np.float32), (32, 32, 3)))
    np.testing.assert_allclose(start[3, 4], found.centre, atol=1e-5)
    np.testing.assert_allclose(
        found.to_image(found.from_image(images[0].astype(np.float32)), (32, 32, 3)),
        np.clip(images[0], 1e-4, 1 - 1e-4),
        atol=2e-3,
    )
    assert coloured(PRESETS["keras-io"], images, ValueRange(-1.0, 1.0, None)) == PRESETS["keras-io"]
    maco = coloured(PRESETS["maco"], images, ValueRange(0.0, 1.0, None)).parameterization
    assert len(maco.spectrum) == 64


def test_a_centre_has_its_place():
    with pytest.raises(ValueError, match="between 0 and 1"):
        type(ROBUST.parameterization)(squash="sigmoid", centre=(0.0, 0.5, 0.5))
    kind = type(ROBUST.parameterization)(centre=(0.5, 0.5))
    with pytest.raises(ConfigError, match="2 values does not fit 3 channels"):
        kind.check((8, 8, 3))
