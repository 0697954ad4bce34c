"""Many units at once give what each unit gives alone."""

import hashlib

import jax
import numpy as np
import pytest

import jaxviz
from jaxviz.atlas import UnitStatus
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.errors import ConfigError, ImageSizeError, LayerError
from jaxviz.presets import PRESETS, get_preset
from jaxviz.runtime.keys import PRNG, unit_keys
from tests.support.tiny import tiny_bundle

# The published recipe normalises gradients, so a difference in rounding grows slowly.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module")
def bundle():
    return tiny_bundle()


def loop_in_float64(bundle, layer, channel, image, steps, trim=2):
    """The published loop for one unit, written with NumPy alone; gradients by hand."""
    kernel = bundle.weights[layer]["kernel"].astype(np.float64)[..., channel]
    bias = float(bundle.weights[layer]["bias"][channel])
    image = image.astype(np.float64)
    height, width, _ = image.shape
    for _ in range(steps):
        padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
        gradient = np.zeros_like(padded)
        inner = (height - 2 * trim) * (width - 2 * trim)
        for y in range(trim, height - trim):
            for x in range(trim, width - trim):
                if np.vdot(padded[y : y + 3, x : x + 3], kernel) + bias > 0:
                    gradient[y : y + 3, x : x + 3] += kernel / inner
        gradient = gradient[1:-1, 1:-1]
        image = image + 10 * gradient / np.sqrt(max((gradient**2).sum(), 1e-12))
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
    activation = np.einsum("yxcij,ijc->yx", windows, kernel) + bias
    return image, np.maximum(activation, 0)[trim:-trim, trim:-trim].mean()


def test_the_published_recipe_against_numpy(bundle):
    start = np.random.default_rng(3).uniform(-0.125, 0.125, (6, 12, 12, 3)).astype(np.float32)
    ours = jaxviz.render(bundle, "conv1", preset="keras-io", steps=5, init=start)
    for channel in range(6):
        image, score = loop_in_float64(bundle, "conv1", channel, start[channel], steps=5)
        np.testing.assert_allclose(ours.raw[channel], image, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(ours.scores[channel], score, rtol=1e-5)


def test_a_unit_does_not_depend_on_its_chunk_or_order(bundle):
    settings = {"preset": "keras-io", "size": 24, "steps": 4, "seed": 7}
    whole = jaxviz.render(bundle, "conv2", chunk=10, **settings)
    small = jaxviz.render(bundle, "conv2", chunk=3, **settings)
    some = jaxviz.render(bundle, "conv2", [9, 2, 5], chunk=2, **settings)
    for name in ("raw", "images", "scores", "initial_scores"):
        np.testing.assert_allclose(getattr(small, name), getattr(whole, name), **CLOSE)
        np.testing.assert_allclose(getattr(some, name), getattr(whole, name)[[9, 2, 5]], **CLOSE)
    assert some.channels.tolist() == [9, 2, 5]


def test_the_same_run_twice_is_the_same_bit_for_bit(bundle):
    one, two = (
        jaxviz.render(bundle, "conv2", preset="keras-io", size=24, steps=4, chunk=4) for _ in "ab"
    )
    np.testing.assert_array_equal(one.raw, two.raw)


@pytest.mark.parametrize("chunk", [2, 5])
def test_compiles_do_not_grow_with_the_number_of_filters(bundle, chunk):
    compiles = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: (
            compiles.append(event)
            if event == "/jax/core/compile/backend_compile_duration"
            else None
        )
    )
    renderer = LayerRenderer.for_layer(
        bundle, "conv2", PRESETS["keras-io"].override(steps=2), size=20, chunk=chunk
    )
    renderer.render(range(chunk), seed=0)
    first = len(compiles)
    for start in range(chunk, 10, chunk):
        renderer.render(range(start, min(10, start + chunk)), seed=0)
    assert len(compiles) == first
    assert renderer.programs.traces["step"] == 1


def test_keys_depend_on_seed_layer_and_channel_alone():
    channels = np.arange(4)
    one = unit_keys(1, "a", channels)
    np.testing.assert_array_equal(one[2:], unit_keys(1, "a", channels[2:]))
    np.testing.assert_array_equal(one, unit_keys(1, "a", np.arange(70))[:4])
    stacked = np.concatenate([one, unit_keys(2, "a", channels), unit_keys(1, "b", channels)])
    assert len(np.unique(stacked, axis=0)) == 12


@pytest.mark.parametrize("seed", [0, -1, 2**33 + 5])
def test_keys_are_those_that_jax_folds_one_by_one(seed):
    digest = int.from_bytes(hashlib.sha256(b"a").digest()[:4], "big")
    key = jax.random.key(seed, impl=PRNG)
    for number in (np.uint32(digest), 1):
        key = jax.random.fold_in(key, number)
    expected = [jax.random.key_data(jax.random.fold_in(key, channel)) for channel in (0, 40)]
    np.testing.assert_array_equal(unit_keys(seed, "a", np.array([0, 40]), 1), np.stack(expected))


def test_a_unit_without_gradient_is_dead_and_one_that_overflows_failed(bundle):
    weights = {layer: dict(arrays) for layer, arrays in bundle.weights.items()}
    bias = weights["conv1"]["bias"].copy()
    bias[1], bias[2] = -1e6, np.inf
    weights["conv1"]["bias"] = bias
    broken = type(bundle)(bundle.spec, weights)
    result = jaxviz.render(broken, "conv1", preset="keras-io", size=16, steps=2)
    assert result.status[1] == UnitStatus.DEAD
    assert result.scores[1] == 0
    assert result.status[2] == UnitStatus.FAILED
    assert (np.delete(result.status, [1, 2]) == UnitStatus.DONE).all()


def test_units_that_end_at_different_times_begin_and_end_a_chunk_at_a_time(bundle):
    weights = {layer: dict(arrays) for layer, arrays in bundle.weights.items()}
    bias = weights["conv2"]["bias"].copy()
    dead = [1, 4, 5, 8]
    bias[dead] = -1e6  # which are given up after 8 of 16 steps
    weights["conv2"]["bias"] = bias
    preset = get_preset("keras-io").override(steps=16)
    renderer = LayerRenderer.for_layer(
        type(bundle)(bundle.spec, weights), "conv2", preset, size=20, chunk=3
    )
    renderer, calls = renderer.with_execution(renderer.execution.changed(lanes=1)), []
    program = renderer.programs.main
    for stage in ("start", "evaluate"):
        made = getattr(program, stage)
        setattr(program, stage, lambda *a, made=made, s=stage: calls.append(s) or made(*a))
    together = renderer.render(range(10), seed=0)
    assert calls.count("start") == 4  # 10 units, 3 at a time
    assert calls.count("evaluate") == 8
    assert (together.status[dead] == UnitStatus.DEAD).all()
    assert (together.status == UnitStatus.DONE).any()
    np.testing.assert_array_equal(together.steps == 8, together.status == UnitStatus.DEAD)
    for channel in range(10):
        alone = renderer.render([channel], seed=0)
        np.testing.assert_array_equal(together.raw[channel], alone.raw[0])
        assert together.initial_scores[channel] == alone.initial_scores[0]


def test_article_starts_from_grey(bundle):
    result = jaxviz.render(bundle, "conv1", [0], preset="article", size=16, steps=1)
    plain = jaxviz.render(
        bundle, "conv1", [0], preset="article", steps=1, init=np.zeros((1, 16, 16, 3), np.float32)
    )
    np.testing.assert_array_equal(result.raw, plain.raw)


@pytest.mark.parametrize(
    ("size", "shown"), [(180, 130), (64, 46), (16, 12), (5, 3), (3, 3), (2, 2)]
)
def test_small_sizes_keep_a_picture(bundle, size, shown):
    result = jaxviz.render(bundle, "conv1", [0], preset="keras-io", size=size, steps=1)
    assert result.images.shape[1:3] == (shown, shown)
    assert np.isfinite(result.scores).all()


def test_layers_behind_a_dense_layer_take_their_own_size():
    bundle = tiny_bundle(flatten=True)
    result = jaxviz.render(bundle, "scores", preset="keras-io", steps=1)
    assert result.raw.shape == (4, 16, 16, 3)
    assert (
        jaxviz.render(bundle, "conv2", [0], preset="keras-io", size=24, steps=1).raw.shape[1] == 24
    )
    with pytest.raises(ImageSizeError, match="expected 16×16, found 24×24"):
        jaxviz.render(bundle, "scores", preset="keras-io", size=24, steps=1)


def test_what_does_not_exist_is_named(bundle):
    with pytest.raises(LayerError, match="conv1"):
        jaxviz.render(bundle, "convv1")
    with pytest.raises(LayerError, match=r"no channel 6[\s\S]*0 to 5"):
        jaxviz.render(bundle, "conv1", [6])
    with pytest.raises(ConfigError, match="keras-io"):
        jaxviz.render(bundle, "conv1", preset="keras_io")
    with pytest.raises(ImageSizeError, match=r"pool1[\s\S]*--size 2"):
        jaxviz.render(bundle, "conv2", size=1)
    with pytest.raises(ImageSizeError, match="expected"):
        jaxviz.render(bundle, "conv1", [0, 1], init=np.zeros((3, 8, 8, 3), np.float32))
