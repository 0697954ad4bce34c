"""Every parameterization: the same contract for all, exact at odd and even sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxviz.errors import ConfigError
from jaxviz.parameterizations import (
    PARAMETERIZATIONS,
    Fourier,
    Phase,
    Pixel,
    measured_colour,
    measured_spectrum,
)
from jaxviz.parameterizations.colour import IMAGENET, mixed
from jaxviz.parameterizations.fourier import envelope
from tests.support.examples import PARAMETERIZATIONS as EXAMPLES

SHAPES = [(6, 6), (5, 7), (6, 5), (7, 4)]


def test_every_parameterization_has_an_example():
    assert {p.kind for p in EXAMPLES} == set(PARAMETERIZATIONS)


@pytest.mark.parametrize(("channels", "size"), [(1, (5, 7)), (3, (8, 8)), (5, (6, 5))])
@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda p: p.kind)
def test_contract(kind, size, channels):
    shape, key = (*size, channels), jax.random.key(1)
    if kind.spectrum == "natural" if isinstance(kind, Phase) else False:
        shape = (*size, min(channels, 3))
    kind.check(shape)
    start, make = jax.jit(lambda k: kind.init(k, shape)), jax.jit(lambda x: kind.to_image(x, shape))
    latent = start(key)
    image = make(latent)
    assert image.shape == shape
    assert image.dtype == jnp.float32
    np.testing.assert_array_equal(image, make(start(key)))
    if kind.squash != "none":
        assert (image >= 0).all()
        assert (image <= 1).all()

    gradient = jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(3 * make(x)))))(latent)
    assert np.isfinite(gradient).all()
    assert (gradient != 0).any()

    latents = jnp.stack([start(k) for k in jax.random.split(key, 3)])
    together = jax.jit(jax.vmap(make))(latents)
    for number in range(3):
        np.testing.assert_allclose(together[number], make(latents[number]), rtol=1e-4, atol=1e-5)
    assert type(kind).model_validate_json(kind.model_dump_json()) == kind


@pytest.mark.parametrize("size", SHAPES, ids=str)
@pytest.mark.parametrize(
    "kind",
    [
        Pixel(),
        Pixel(colour="natural", squash="sigmoid"),
        Fourier(),
        Fourier(decay=1.5, colour="natural", squash="sigmoid"),
        Fourier(colour=((1.0, 0.0, 0.2), (0.3, 1.0, 0.0), (0.0, 0.1, 0.7))),
    ],
    ids=lambda p: f"{p.kind}-{p.squash}",
)
def test_an_image_comes_back(kind, size):
    image = np.random.default_rng(0).uniform(0.05, 0.95, (*size, 3)).astype(np.float32)
    again = kind.to_image(kind.from_image(jnp.asarray(image)), image.shape)
    np.testing.assert_allclose(again, image, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", SHAPES, ids=str)
def test_fourier_against_the_sum_of_waves(size):
    """Lucid's formula in float64: every coefficient as an explicit wave."""
    height, width = size
    kind, shape = Fourier(sd=1.0, decay=0.7), (*size, 2)
    latent = np.asarray(kind.init(jax.random.key(2), shape), np.float64)
    expected = np.zeros(shape)
    y, x = np.arange(height)[:, None], np.arange(width)[None]
    for row in range(height):
        for column in range(width // 2 + 1):
            fy, fx = np.fft.fftfreq(height)[row], column / width
            scale = np.sqrt(height * width) / max(np.hypot(fy, fx), 1 / max(size)) ** 0.7
            twice = 1 if column == 0 or 2 * column == width else 2
            angle = 2 * np.pi * (fy * y + fx * x)
            for channel in range(2):
                real, imaginary = latent[:, channel, row, column] * scale
                wave = real * np.cos(angle) - imaginary * np.sin(angle)
                expected[..., channel] += twice * wave / (height * width) / 4
    ours = kind.to_image(jnp.asarray(latent, jnp.float32), shape)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_natural_colours_are_lucids():
    latent = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    root = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
    np.testing.assert_array_equal(root, IMAGENET)
    expected = 1 / (1 + np.exp(-latent @ (root / np.max(np.linalg.norm(root, axis=0))).T))
    ours = Pixel(colour="natural", squash="sigmoid").to_image(jnp.asarray(latent), latent.shape)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


@pytest.mark.parametrize("channels", [2, 3, 7])
def test_channels_are_mixed_as_by_a_matrix_product_forward_and_back(channels):
    draw = np.random.default_rng(channels)
    values, back = draw.normal(size=(2, 5, 6, channels))
    matrix = draw.normal(size=(channels, channels))
    found, transposed = jax.vjp(lambda v: mixed(v, matrix.astype(np.float32)), jnp.array(values))
    np.testing.assert_allclose(found, values @ matrix.T, atol=1e-5)
    np.testing.assert_allclose(transposed(jnp.array(back))[0], back @ matrix, atol=1e-5)
    in_numpy = mixed(values, matrix)  # NumPy arrays need no compile
    assert type(in_numpy) is np.ndarray
    np.testing.assert_array_equal(in_numpy, values @ matrix.T)


@pytest.mark.parametrize("channels", [2, 5, 13])
def test_bands_start_mostly_grey_and_come_back(channels):
    kind, shape = Fourier(sd=1.0, colour="natural"), (24, 24, channels)
    image = np.asarray(kind.to_image(kind.init(jax.random.key(0), shape), shape))
    correlation = np.corrcoef(image.reshape(-1, channels).T)
    assert correlation[0, -1] > 0.7
    assert (correlation[0] < 1).sum() == channels - 1
    again = kind.to_image(kind.from_image(jnp.asarray(image)), shape)
    np.testing.assert_allclose(again, image, rtol=1e-3, atol=1e-3)
    signal = kind.to_image(kind.init(jax.random.key(0), (1, 64, channels)), (1, 64, channels))
    assert abs(np.corrcoef(np.asarray(signal)[0].T)[0, 1]) < 0.6


def test_measured_colours_have_the_images_covariance():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(5, 5))
    images = rng.normal(size=(6, 20, 20, 5)) @ mixing.T
    root = np.array(measured_colour(images))
    np.testing.assert_allclose(root @ root.T, np.cov(images.reshape(-1, 5).T), rtol=1e-6, atol=1e-9)


def test_phase_keeps_the_magnitudes():
    spectrum = np.linspace(1, 0.05, 20)
    kind, shape = Phase(spectrum=tuple(spectrum)), (16, 16, 1)
    image = np.asarray(kind.to_image(kind.init(jax.random.key(0), shape), shape))[..., 0]
    found = np.abs(np.fft.rfft2(image))[1:8, 1:8]
    radii = np.hypot(np.fft.fftfreq(16)[:, None], np.fft.rfftfreq(16))[1:8, 1:8]
    wanted = np.interp(radii, np.linspace(0, np.hypot(0.5, 0.5), 20), spectrum)
    np.testing.assert_allclose(found / found.mean(), wanted / wanted.mean(), rtol=1e-3)


def test_a_measured_spectrum_is_the_spectrum_of_the_images():
    rng = np.random.default_rng(0)
    scale = envelope((32, 32), decay=1.0)
    noise = np.fft.rfft2(rng.normal(size=(40, 32, 32))) * scale
    images = np.fft.irfft2(noise, s=(32, 32))[..., None]
    found = np.array(measured_spectrum(images))
    radii = np.linspace(0, np.hypot(0.5, 0.5), len(found))
    inside = (radii > 0.06) & (radii < 0.45)
    slope = np.polyfit(np.log(radii[inside]), np.log(found[inside]), 1)[0]
    assert abs(slope + 1.0) < 0.1


def test_a_clipped_value_can_return():
    kind = Pixel(squash="clip")
    gradient = jax.grad(lambda x: jnp.sum(kind.to_image(x, (2, 2, 1))))(jnp.full((2, 2, 1), 5.0))
    np.testing.assert_array_equal(gradient, 1.0)


@pytest.mark.parametrize(
    ("kind", "channels", "message"),
    [
        (Phase(), 3, "need a spectrum"),
        (Phase(spectrum="natural"), 5, "5 channels have no natural spectrum"),
        (Pixel(colour=((1.0,),)), 3, "does not fit 3 channels"),
    ],
)
def test_impossible_settings_are_refused(kind, channels, message):
    with pytest.raises(ConfigError, match=message):
        kind.check((8, 8, channels))
