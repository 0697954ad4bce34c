"""Every transform: the same contract for all, and numbers against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxviz.errors import ConfigError
from jaxviz.transforms import (
    TRANSFORMS,
    Blur,
    Box,
    Crop,
    Flip,
    Jitter,
    Noise,
    Octaves,
    Pad,
    Reading,
    Rotate,
    Scale,
    apply_all,
    size_after,
)
from jaxviz.transforms.resampling import rolled
from tests.support.examples import TRANSFORMS as EXAMPLES

NAMES = [f"{t.kind}{number}" for number, t in enumerate(EXAMPLES)]
CLOSE = {"rtol": 1e-5, "atol": 2e-6}


def picture(height=17, width=20, channels=3, seed=0):
    return np.random.default_rng(seed).random((height, width, channels), np.float32)


def test_every_transform_has_an_example():
    assert {t.kind for t in EXAMPLES} == set(TRANSFORMS)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("transform", EXAMPLES, ids=NAMES)
def test_contract(transform, channels):
    image, key = jnp.asarray(picture(channels=channels)), jax.random.key(3)
    apply = jax.jit(lambda k, x: transform.apply(k, x, 0.5))
    result = apply(key, image)
    assert result.shape == (*transform.size(17, 20), channels)
    np.testing.assert_array_equal(result, apply(key, image))

    gradient = jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(apply(key, x)))))(image)
    assert np.isfinite(gradient).all()
    assert (gradient != 0).any()

    keys = jax.random.split(key, 3)
    images = jnp.stack([picture(channels=channels, seed=s) for s in range(3)])
    together = jax.jit(jax.vmap(apply))(keys, images)
    for number in range(3):
        alone = apply(keys[number], images[number])
        np.testing.assert_allclose(together[number], alone, rtol=1e-5, atol=1e-5)
    again = type(transform).model_validate_json(transform.model_dump_json())
    assert again == transform


@pytest.mark.parametrize(
    "transform", [t for t in EXAMPLES if t.kind not in ("pad", "crop")], ids=lambda t: t.kind
)
def test_different_keys_draw_differently(transform):
    image = jnp.asarray(picture())
    apply = jax.jit(lambda k: transform.apply(k, image, 0.5))
    draws = [np.asarray(apply(jax.random.key(seed))) for seed in range(12)]
    fixed = transform.kind == "rotate" and len(transform.degrees) == 1
    fixed |= getattr(transform, "order", "") == "rising"
    assert fixed or any((d != draws[0]).any() for d in draws)


@pytest.mark.parametrize("degrees", [-30.0, 4.0, 90.0])
def test_rotation_against_scipy(degrees):
    image = picture(16, 16, 1)
    ours = Rotate(degrees=(degrees,), outside="edge").apply(jax.random.key(0), image, 0.0)
    theirs = ndimage.rotate(
        image[..., 0].astype(float),
        degrees,
        reshape=False,
        order=1,
        mode="nearest",
        prefilter=False,
    )
    np.testing.assert_allclose(ours[..., 0], theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("outside", "mode"), [("edge", "nearest"), ("wrap", "grid-wrap")])
@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_scale_against_scipy(outside, mode, factor):
    image = picture(15, 18, 1)
    ours = Scale(factors=(factor,), outside=outside).apply(jax.random.key(0), image, 0.0)
    rows, columns = ((np.arange(n) - (n - 1) / 2) / factor + (n - 1) / 2 for n in (15, 18))
    places = np.meshgrid(rows, columns, indexing="ij")
    theirs = ndimage.map_coordinates(image[..., 0].astype(float), places, order=1, mode=mode)
    np.testing.assert_allclose(ours[..., 0], theirs, **CLOSE)


def test_a_shrunk_picture_is_surrounded_as_configured():
    result = Scale(factors=(0.5,), value=0.25).apply(jax.random.key(0), jnp.ones((12, 12, 1)), 0.0)
    np.testing.assert_allclose(result[0], 0.25)
    np.testing.assert_allclose(result[6, 6], 1.0)


def test_jitter_is_a_shift_by_whole_pixels_and_reaches_them_all():
    image = picture(8, 9, 2)
    seen = set()
    apply = jax.jit(lambda k: Jitter(amount=2).apply(k, image, 0.0))
    for seed in range(100):
        ours = np.asarray(apply(jax.random.key(seed)))
        matches = [
            (y, x)
            for y in range(3)
            for x in range(3)
            if (image[y : y + 6, x : x + 7] == ours).all()
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) == 9
    wrapped = np.asarray(Jitter(amount=2, wrap=True).apply(jax.random.key(1), image, 0.0))
    assert any(
        (np.roll(image, (y, x), (0, 1)) == wrapped).all()
        for y in range(-2, 3)
        for x in range(-2, 3)
    )


def test_octaves_show_the_picture_reduced_and_repeated():
    image = picture(16, 24, 2)
    octaves = Octaves(count=2, ratio=2.0)
    np.testing.assert_allclose(octaves.apply(jax.random.key(0), image, 0.9), image, atol=1e-6)
    half = np.asarray(octaves.apply(jax.random.key(0), image, 0.0))
    # Every axis is sampled at half resolution about the middle, with tents two pixels wide.
    expected = image.astype(np.float64)
    for axis, n in ((0, 16), (1, 24)):
        places = (np.arange(n) - (n - 1) / 2) * 2 + (n - 1) / 2
        gap = np.abs(places[:, None] - np.arange(n)) % n
        weights = np.maximum(0, 1 - np.minimum(gap, n - gap) / 2)
        weights /= weights.sum(axis=1, keepdims=True)
        expected = np.moveaxis(np.tensordot(weights, expected, (1, axis)), 0, axis)
    np.testing.assert_allclose(half, expected, rtol=1e-4, atol=1e-5)
    # So the picture repeats after half the frame.
    np.testing.assert_allclose(half[:8], half[8:], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(half.mean(), image.mean(), rtol=2e-2)


@pytest.mark.parametrize("transform", EXAMPLES, ids=NAMES)
def test_a_signal_stays_one_row(transform):
    signal = jnp.asarray(picture(1, 40, 2))
    result = transform.apply(jax.random.key(2), signal, 0.3)
    assert result.shape == (*transform.size(1, 40), 2)
    assert result.shape[0] == 1
    assert np.isfinite(result).all()
    if isinstance(transform, Reading | Rotate) and transform.kind != "box":
        assert result.max() <= 1.0001


def test_blur_against_scipy():
    image = picture(31, 31, 1)
    ours = Blur(low=1.3, high=1.3).apply(jax.random.key(0), image, 0.0)
    theirs = ndimage.gaussian_filter(image[..., 0].astype(float), 1.3, mode="constant", truncate=20)
    weight = ndimage.gaussian_filter(np.ones((31, 31)), 1.3, mode="constant", truncate=20)
    np.testing.assert_allclose(ours[..., 0], theirs / weight, rtol=1e-4, atol=1e-5)


def test_a_box_follows_the_progress():
    ramp = jnp.broadcast_to(jnp.arange(64.0)[None, :, None], (64, 64, 1))
    box = Box(start=0.5, end=0.25, spread=0.0, wander=0.0, pixels=11)
    for progress, share in ((0.0, 0.5), (1.0, 0.25), (0.5, 0.375)):
        result = np.asarray(box.apply(jax.random.key(0), ramp, progress))[5, :, 0]
        np.testing.assert_allclose(
            result, (0.5 + share * np.linspace(-0.5, 0.5, 11)) * 63, rtol=1e-5
        )


def test_noise_has_the_spread_it_says():
    noise = np.asarray(Noise(normal=0.3).apply(jax.random.key(0), jnp.zeros((80, 80, 3)), 0.0))
    assert abs(noise.std() - 0.3) < 0.01
    noise = np.asarray(Noise(uniform=0.2).apply(jax.random.key(0), jnp.zeros((80, 80, 3)), 0.0))
    assert abs(np.abs(noise).max() - 0.2) < 0.001


def test_transforms_in_a_row_draw_independently():
    key, image = jax.random.key(5), jnp.asarray(picture())
    both = apply_all([Noise(normal=1.0), Noise(normal=1.0)], key, image, 0.0)
    one = Noise(normal=1.0).apply(jax.random.fold_in(key, 0), image, 0.0)
    two = Noise(normal=1.0).apply(jax.random.fold_in(key, 1), image, 0.0)
    np.testing.assert_allclose(both, one + two - image, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        ([Blur(low=1.0, high=20.0)], r"blur of 20 pixels is too wide for a picture of 32×32"),
        ([Jitter(amount=32)], r"jitter of 32 leaves nothing"),
        ([Crop(amount=16)], r"leaves nothing of a picture of 32×32"),
        ([Pad(amount=32, outside="reflect")], r"cannot be padded by 32"),
        ([Crop(amount=10), Jitter(amount=12)], r"picture of 12×12"),
    ],
)
def test_impossible_settings_are_refused(transforms, message):
    with pytest.raises(ConfigError, match=message):
        size_after(transforms, 32, 32)


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="positive"):
        Scale(factors=(0.0,))
    with pytest.raises(ValueError, match="low ≤ high"):
        Blur(low=2.0, high=1.0)


def test_faded_amounts_die_away_and_stay_away():
    image = jnp.asarray(picture())
    for transform in (
        Jitter(amount=6, wrap=True, fade=0.5),
        Scale(factors=(0.8, 0.9), between=True, fade=0.5, outside="wrap"),
    ):
        moved = [transform.apply(jax.random.key(3), image, p) for p in (0.0, 0.25, 0.5, 1.0)]
        away = [float(jnp.abs(m - image).mean()) for m in moved]
        assert away[0] > 0
        assert away[1] > 0
        np.testing.assert_allclose(away[2:], 0, atol=1e-6)
    with pytest.raises(ValueError, match="need `wrap`"):
        Jitter(amount=3, fade=0.5)


ROWS = [
    [Jitter(amount=6, wrap=True), Scale(factors=(0.9, 1.1), between=True, outside="wrap")],
    [Pad(amount=3, value=0.2), Jitter(amount=4), Scale(factors=(0.8, 1.3), value=0.2)],
    [Pad(amount=2, value=0.2), Scale(factors=(0.8, 1.3), value=0.6), Blur(low=0.5, high=1.5)],
    [Scale(factors=(0.7,), outside="edge"), Crop(amount=2), Flip(), Box(start=0.5, pixels=9)],
    [Pad(amount=3, outside="reflect"), Flip(vertical=True), Octaves(count=3)],
    [Pad(amount=3, outside="wrap"), Blur(low=0.5, high=1.5), Rotate(degrees=(5.0,)), Flip()],
    [Jitter(amount=5, wrap=True, fade=0.8)],
    [Jitter(amount=5, wrap=True, fade=0.6), Scale(factors=(0.9, 1.1), outside="wrap", fade=0.8)],
]  # fmt: skip


@pytest.mark.parametrize("height", [1, 17])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(one.kind for one in row))
def test_a_row_of_transforms_is_one_after_the_other(row, height):
    """Transforms joined into one read have the values and gradients of single reads."""
    image, key = jnp.asarray(picture(height=height)), jax.random.key(8)

    def singly(image):
        for number, one in enumerate(row):
            image = one.apply(jax.random.fold_in(key, number), image, 0.5)
        return image

    def together(image):
        return apply_all(row, key, image, 0.5)

    @jax.jit
    def both(image):
        made = []
        for make in (together, singly):
            value, back = jax.vjp(make, image)
            made.append((value, *back(jnp.cos(value))))
        return made

    for ours, expected in zip(*both(image), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("row", ROWS[-2:], ids=len)
@pytest.mark.parametrize("progress", [(0.1, 0.2, 0.9), (0.8, 0.9, 1.0)])
def test_units_that_have_faded_are_left_alone_beside_others(progress, row):
    keys = jax.random.split(jax.random.key(8), 3)
    images = jnp.stack([picture(seed=seed) for seed in range(3)])

    def value(key, image, progress):
        return jnp.sin(apply_all(row, key, image, progress)).sum()

    def both(key, image, progress):
        moved = jax.vmap(lambda key: apply_all(row, key, image, progress))(key[None])[0]
        return moved, jax.grad(value, argnums=1)(key, image, progress)

    together = jax.jit(jax.vmap(both))(keys, images, jnp.asarray(progress))
    for unit in range(3):
        alone = both(keys[unit], images[unit], progress[unit])
        for ours, expected in zip(together, alone, strict=True):
            np.testing.assert_allclose(ours[unit], expected, rtol=1e-5, atol=1e-5)
        if progress[unit] >= 0.8:
            np.testing.assert_allclose(together[0][unit], images[unit], rtol=0, atol=1e-6)
            np.testing.assert_allclose(together[1][unit], jnp.cos(images[unit]), rtol=1e-5)
    if min(progress) >= 0.8:
        np.testing.assert_array_equal(together[0], images)


def test_nothing_is_computed_for_units_that_have_faded():
    """Products stand in a branch for the whole batch, not in a select between results."""

    def step(key, image, progress):
        return jax.grad(lambda x: jnp.sin(apply_all(ROWS[-1], key, x, progress)).sum())(image)

    keys, images = jax.random.split(jax.random.key(8), 3), jnp.zeros((3, 17, 20, 3))
    program = jax.jit(jax.vmap(step)).lower(keys, images, jnp.ones(3)).compile().as_text()
    always = program[program.index("ENTRY") :]
    assert always.count(" conditional(") == 2
    assert "dot_general" in program
    assert "dot_general" not in always


def test_the_gradient_of_a_roll_is_rolled_back():
    """Equal to NumPy, and without a scatter, which handles one pixel at a time."""
    images = np.stack([picture(seed=seed) for seed in range(3)])
    weights, shifts = images[::-1], np.array([(2, -3), (0, 0), (-7, 19)], np.int32)

    def gradient(image, weight, shift):
        return jax.grad(lambda x: jnp.sum(weight * rolled(x, shift) ** 2))(image)

    several = jax.jit(jax.vmap(gradient))
    ours = several(images, weights, shifts)
    for unit, (down, right) in enumerate(shifts):
        back = np.roll(weights[unit], (-down, -right), (0, 1))
        np.testing.assert_allclose(ours[unit], 2 * back * images[unit], rtol=1e-6)
    assert "scatter" not in several.lower(images, weights, shifts).as_text()
