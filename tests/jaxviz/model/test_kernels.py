"""Every fast implementation of an operation equals the reference, in float64, gradient included."""

from functools import partial
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxviz.errors import ConfigError
from jaxviz.model.dispatch import choose_implementations
from jaxviz.model.kernels import winograd
from jaxviz.model.kernels.shift_add import SUMMED, suits_summed
from jaxviz.model.kernels.winograd import block_of, suits_small_tiles
from jaxviz.model.ops import IMPLEMENTATIONS, PREPARE, compute, conv
from jaxviz.model.ops.registry import preferences
from jaxviz.model.ops.windows import pad_spatial
from jaxviz.spec import Activation, BatchNorm, Conv, DepthwiseConv, LayerNorm, Op, Pool
from tests.support.tiny import tiny_bundle

EXACT = 1e-11

sizes = st.integers(5, 11)
window = st.integers(1, 5)
stride = st.integers(1, 4)
padding = st.sampled_from(["same", "valid", ((1, 0), (0, 2))])


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def assert_equal_to_reference(
    op: Op, weights: dict[str, np.ndarray], shape: tuple[int, ...], implementation: str
):
    """The implementation's result and gradient to its input equal the reference's."""
    draw = np.random.default_rng(0)
    x = jnp.asarray(draw.normal(size=shape))
    arrays = {role: jnp.asarray(array) for role, array in weights.items()}
    result = jax.eval_shape(partial(compute, op), arrays, x)
    cotangent = jnp.asarray(draw.normal(size=result.shape))

    @partial(jax.jit, static_argnames="implementation")
    def forward_and_back(arrays, x, cotangent, implementation):
        y, back = jax.vjp(lambda x: compute(op, arrays, x, implementation=implementation), x)
        return y, back(cotangent)[0]

    expected, expected_gradient = forward_and_back(arrays, x, cotangent, "direct")
    found, found_gradient = forward_and_back(arrays, x, cotangent, implementation)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=EXACT)
    np.testing.assert_allclose(found_gradient, expected_gradient, atol=EXACT)


def fits(size: int, window: int, padding: object) -> bool:
    return padding == "same" or size >= window


@settings(deadline=None, max_examples=12, derandomize=True)
@given(st.sampled_from(["max", "average"]), sizes, sizes, window, window, stride, stride, padding)
def test_pool(kind, height, width, high, wide, down, across, padding):
    if not (fits(height, high, padding) and fits(width, wide, padding)):
        return
    if isinstance(padding, tuple) and (high < 2 or wide < 3):
        return  # a window of padding has no maximum and no mean
    op = Pool(kind=kind, window=(high, wide), strides=(down, across), padding=padding)
    assert_equal_to_reference(op, {}, (2, height, width, 3), "slices")


@settings(deadline=None, max_examples=12, derandomize=True)
@given(
    sizes, sizes, window, window, stride, stride, padding,
    st.integers(1, 2), st.integers(1, 2), st.sampled_from([1, 99]),
)  # fmt: skip
def test_depthwise(height, width, high, wide, down, across, padding, dilation, multiplier, least):
    if not fits(min(height, width), (max(high, wide) - 1) * dilation + 1, padding):
        return
    op = DepthwiseConv(
        window=(high, wide),
        strides=(down, across),
        dilation=(dilation, dilation),
        padding=padding,
        multiplier=multiplier,
    )
    draw = np.random.default_rng(1)
    weights = {
        "kernel": draw.normal(size=(high, wide, 3, multiplier)),
        "bias": draw.normal(size=3 * multiplier),
    }
    with patch.object(conv, "_WORTH_A_PASS", least):  # apart from its neighbours, and not
        assert_equal_to_reference(op, weights, (2, height, width, 3), "slices")


@pytest.mark.parametrize("padding", ["same", "valid", ((1, 0), (0, 2))])
@pytest.mark.parametrize("window", [(3, 3), (2, 5)])
def test_summed_depthwise(window, padding):
    op = DepthwiseConv(
        window=window, strides=(1, 1), dilation=(1, 1), padding=padding, multiplier=1
    )
    draw = np.random.default_rng(1)
    weights = {"kernel": draw.normal(size=(*window, 3, 1)), "bias": draw.normal(size=3)}
    assert suits_summed(op, (7, 8, 3))
    assert not suits_summed(op.model_copy(update={"strides": (2, 2)}), (7, 8, 3))
    assert_equal_to_reference(op, weights, (2, 7, 8, 3), SUMMED)


def test_a_summed_depthwise_convolution_is_rounded_once():
    op = DepthwiseConv(window=(3, 3), strides=(1, 1), dilation=(1, 1), padding="same", multiplier=1)
    draw = np.random.default_rng(0)
    x, kernel = draw.normal(size=(1, 9, 9, 4)), draw.normal(size=(3, 3, 4, 1))
    x, kernel = jnp.asarray(x, jnp.bfloat16), jnp.asarray(kernel, jnp.bfloat16)
    assert suits_summed(op, (9, 9, 4))
    wide = {"kernel": kernel.astype(jnp.float32)}
    expected = compute(op, wide, x.astype(jnp.float32)).astype(jnp.bfloat16)
    found = compute(op, {"kernel": kernel}, x, implementation=SUMMED)
    np.testing.assert_allclose(
        np.asarray(found, np.float32), np.asarray(expected, np.float32), rtol=2**-7, atol=1e-6
    )


@settings(deadline=None, max_examples=32, derandomize=True)
@example(3, 3, "same", "winograd", "", 8, (3, 3), 1)  # fewer tiles than filters
@example(3, 3, "same", "winograd", ", small tiles", 8, (3, 3), 1)
@given(
    sizes,
    sizes,
    st.sampled_from(["same", "valid", ((2, 0), (1, 2))]),
    st.sampled_from(["winograd", "winograd in blocks"]),
    st.sampled_from(["", ", small tiles"]),
    st.sampled_from([1, 4, 8]),
    st.sampled_from([(3, 3), (4, 4), (5, 3)]),
    st.sampled_from([1, 999]),
)
def test_winograd(height, width, padding, blocks, size, tiles, window, large):
    implementation = blocks + size
    op = Conv(filters=5, window=window, strides=(1, 1), dilation=(1, 1), padding=padding)
    draw = np.random.default_rng(1)
    weights = {"kernel": draw.normal(size=(*window, 4, 5)), "bias": draw.normal(size=5)}
    with patch.multiple(winograd, _BLOCK_TILES=tiles, _FEW_BLOCKS=1, _WORTH_LAYING_OUT=large):
        weights |= PREPARE[Conv, implementation](op, weights)
        assert_equal_to_reference(op, weights, (4, height, width, 4), implementation)


def test_a_border_that_adds_and_takes_as_much_shifts_the_map():
    x = jnp.arange(1.0, 5).reshape(1, 4, 1, 1)
    assert pad_spatial(x, ((1, -1), (0, 0))).ravel().tolist() == [0, 1, 2, 3]


def test_a_block_is_several_small_maps_or_a_part_of_a_large_one():
    assert block_of(10, (3, 3), 64, 64) == (
        2,
        3,
    )  # up to 40 tiles; an image has 9, and 2 divides 10
    assert block_of(6, (3, 3), 64, 64) == (6, 3)  # two blocks are not worth it
    assert block_of(2, (24, 24), 64, 64) == (1, 1)
    assert block_of(4, (25, 2), 64, 64) == (1, 13)  # 20 of 25 rows fit; 13 twice are more even
    assert block_of(2, (24, 24), 256, 512) == (2, 24)  # its kernel is read from memory


@settings(deadline=None, max_examples=16, derandomize=True)
@example(9, 8, 3, 3, 1, 1, "same", 1, (3, 16))
@given(
    sizes,
    sizes,
    window,
    window,
    stride,
    stride,
    padding,
    st.integers(1, 2),
    st.sampled_from([(1, 5), (3, 5), (3, 16), (6, 5)]),
)
def test_patches_and_prepared(height, width, high, wide, down, across, padding, dilation, channels):
    if not fits(min(height, width), (max(high, wide) - 1) * dilation + 1, padding):
        return
    depth, filters = channels
    op = Conv(
        filters=filters,
        window=(high, wide),
        strides=(down, across),
        dilation=(dilation, dilation),
        padding=padding,
    )
    draw = np.random.default_rng(1)
    weights = {"kernel": draw.normal(size=(high, wide, depth, filters))}
    weights |= {"bias": draw.normal(size=filters)}
    shape = (2, height, width, depth)
    assert_equal_to_reference(op, weights, shape, "patches")
    assert_equal_to_reference(
        op, {**weights, **PREPARE[Conv, "prepared"](op, weights)}, shape, "prepared"
    )


@pytest.mark.parametrize("size", [9, 10])  # results of 7 and 8 rows
@pytest.mark.parametrize("depth", [6, 16])
def test_prepared_without_padding(size, depth):
    op = Conv(filters=5, window=(3, 3), strides=(1, 1), dilation=(1, 1), padding="valid")
    draw = np.random.default_rng(1)
    weights = {"kernel": draw.normal(size=(3, 3, depth, 5)), "bias": draw.normal(size=5)}
    weights |= PREPARE[Conv, "prepared"](op, weights)
    assert_equal_to_reference(op, weights, (2, size, 11, depth), "prepared")


@settings(deadline=None, max_examples=10, derandomize=True)
@given(
    sizes,
    sizes,
    window,
    window,
    stride,
    stride,
    padding,
    st.integers(1, 2),
    st.sampled_from([(2, 3, 2), (4, 2, 3), (3, 10, 4), (12, 4, 4), (5, 1, 1), (5, 1, 2)]),
)
def test_grouped(height, width, high, wide, down, across, padding, dilation, groups):
    if not fits(min(height, width), (max(high, wide) - 1) * dilation + 1, padding):
        return
    count, depth, filters = groups  # groups, channels and filters of each
    op = Conv(
        filters=count * filters,
        window=(high, wide),
        strides=(down, across),
        dilation=(dilation, dilation),
        padding=padding,
        groups=count,
    )
    draw = np.random.default_rng(1)
    kernel = draw.normal(size=(high, wide, depth, count * filters))
    weights = {"kernel": kernel, "bias": draw.normal(size=count * filters)}
    shape = (2, height, width, count * depth)
    if depth == 1:
        assert_equal_to_reference(op, weights, shape, "slices")
    assert_equal_to_reference(
        op, {**weights, **PREPARE[Conv, "blocks"](op, weights)}, shape, "blocks"
    )


@settings(deadline=None, max_examples=5, derandomize=True)
@given(sizes, sizes, st.sampled_from(["same", "valid", ((2, 0), (1, 3))]), st.integers(1, 2))
def test_dilated(height, width, padding, less):
    op = Conv(filters=5, window=(3, 3), strides=(1, 1), dilation=(3, less), padding=padding)
    if not fits(height, 7, padding) or not fits(width, 1 + 2 * less, padding):
        return
    draw = np.random.default_rng(1)
    weights = {"kernel": draw.normal(size=(3, 3, 4, 5)), "bias": draw.normal(size=5)}
    weights |= PREPARE[Conv, "dilated"](op, weights)
    assert_equal_to_reference(op, weights, (2, height, width, 4), "dilated")


def test_gelu():
    assert_equal_to_reference(Activation(function="gelu"), {}, (2, 6, 7, 3), "input kept")


@pytest.mark.parametrize(("scale", "center"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("epsilon", [0.5, 1e-6])
@pytest.mark.parametrize("shape", [(2, 6, 7, 5), (3, 4, 9), (2, 1)])
def test_layer_norm(scale, center, epsilon, shape):
    draw = np.random.default_rng(2)
    weights = {role: draw.normal(size=shape[-1]) for role in ("gamma", "beta")}
    op = LayerNorm(epsilon=epsilon, scale=scale, center=center)
    assert_equal_to_reference(op, weights, shape, "written out")


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("learned", [(), ("gamma",), ("beta",), ("gamma", "beta")])
def test_batch_norm(axis, learned):
    op = BatchNorm(axis=axis, epsilon=0.01, scale="gamma" in learned, center="beta" in learned)
    draw = np.random.default_rng(4)
    weights = {role: draw.uniform(0.5, 2, size=4) for role in ("mean", "variance", *learned)}
    weights |= PREPARE[BatchNorm, "factors"](op, weights)
    assert_equal_to_reference(op, weights, (2, 5, 4, 4), "factors")


def test_a_layer_norm_with_its_own_gradient_hides_no_nan():
    x = jnp.ones((2, 3)).at[0, 1].set(jnp.nan)
    found = compute(
        LayerNorm(epsilon=0.1, scale=False, center=False), {}, x, implementation="written out"
    )
    np.testing.assert_array_equal(np.isnan(found), [[True] * 3, [False] * 3])


@pytest.mark.parametrize("implementation", ["winograd", "winograd, small tiles"])
@pytest.mark.parametrize("width", [3, 4, 5])
def test_winograd_rounds_no_worse_than_five_times_the_definition_in_float32(width, implementation):
    window = (width, width)
    op = Conv(filters=64, window=window, strides=(1, 1), dilation=(1, 1), padding="same")
    draw = np.random.default_rng(2)
    kernel = draw.normal(size=(*window, 64, 64)).astype(np.float32)
    weights = {"kernel": kernel, "bias": np.zeros(64)}
    x = draw.normal(size=(1, 12, 12, 64)).astype(np.float32)
    double = {role: jnp.asarray(array, jnp.float64) for role, array in weights.items()}
    exact = np.asarray(compute(op, double, jnp.asarray(x, jnp.float64)))
    single = {k: jnp.asarray(v, jnp.float32) for k, v in weights.items()}
    derived = {k: jnp.asarray(v) for k, v in PREPARE[Conv, implementation](op, single).items()}
    errors = {}
    for one, more in (("direct", {}), (implementation, derived)):
        found = compute(op, {**single, **more}, jnp.asarray(x), implementation=one)
        errors[one] = np.sqrt(np.mean((np.asarray(found, np.float64) - exact) ** 2))
    assert errors[implementation] < 5 * errors["direct"]
    assert errors[implementation] < 3e-6 * np.sqrt(np.mean(exact**2))


def test_small_tiles_are_chosen_where_they_take_fewer_multiplications():
    op = Conv(filters=64, window=(3, 3), strides=(1, 1), dilation=(1, 1), padding="same")
    small = [n for n in range(1, 25) if suits_small_tiles(op, (n, n, 64))]
    # 5·⌈n/3⌉ below 6·⌈n/4⌉
    assert small == [1, 2, 3, 5, 6, 9, 21]
    assert not suits_small_tiles(op, (None, None, 64))
    # Forward 6×6, and back to 8×8, which takes nine small tiles of 25 or four of 36.
    assert not suits_small_tiles(op.model_copy(update={"padding": "valid"}), (8, 8, 64))


def test_images_in_a_batch_equal_each_alone():
    op = Conv(filters=4, window=(3, 3), strides=(1, 1), dilation=(1, 1), padding="same")
    draw = np.random.default_rng(3)
    weights = {"kernel": draw.normal(size=(3, 3, 4, 4)), "bias": np.zeros(4)}
    weights |= PREPARE[Conv, "winograd"](op, weights)
    images = jnp.asarray(draw.normal(size=(3, 1, 6, 6, 4)))

    def gradient(x, implementation):
        return jax.grad(
            lambda x: (compute(op, weights, x, implementation=implementation) ** 2).sum()
        )(x)

    found = jax.vmap(lambda x: gradient(x, "winograd"))(images)
    expected = jnp.stack([gradient(x, "direct") for x in images])
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_reference_turns_every_fast_implementation_off(monkeypatch):
    bundle = tiny_bundle()
    shapes = bundle.spec.shapes()
    assert choose_implementations(bundle.spec, bundle.spec.outputs, "cpu", shapes)
    monkeypatch.setenv("JAXVIZ_LOWERINGS", "reference")
    assert choose_implementations(bundle.spec, bundle.spec.outputs, "cpu", shapes) == {}
    monkeypatch.setenv("JAXVIZ_LOWERINGS", "slow")
    with pytest.raises(ConfigError, match="JAXVIZ_LOWERINGS"):
        choose_implementations(bundle.spec, bundle.spec.outputs, "cpu", shapes)


def test_the_first_of_equal_maxima_takes_the_gradient():
    op = Pool(kind="max", window=(3, 3), strides=(2, 2), padding="same")
    flat = jnp.zeros((1, 6, 6, 1))
    found = jax.grad(lambda x: compute(op, {}, x, implementation="slices").sum())(flat)
    expected = np.zeros((6, 6))
    expected[::2, ::2] = 1  # padding is only at the end, so each window begins at a real position
    np.testing.assert_array_equal(found[0, ..., 0], expected)


#: The test that compares each fast implementation with the reference.
COMPARISONS = {
    (Pool, "slices"): test_pool,
    (DepthwiseConv, "slices"): test_depthwise,
    (DepthwiseConv, "summed"): test_summed_depthwise,
    (Conv, "patches"): test_patches_and_prepared,
    (Conv, "prepared"): test_patches_and_prepared,
    (Conv, "slices"): test_grouped,
    (Conv, "blocks"): test_grouped,
    (Conv, "dilated"): test_dilated,
    (Conv, "winograd"): test_winograd,
    (Conv, "winograd in blocks"): test_winograd,
    (Conv, "winograd, small tiles"): test_winograd,
    (Conv, "winograd in blocks, small tiles"): test_winograd,
    (BatchNorm, "factors"): test_batch_norm,
    (LayerNorm, "written out"): test_layer_norm,
    (Activation, "input kept"): test_gelu,
}


def test_every_kernel_and_every_preference_has_its_comparison():
    kernels = {
        (op, name)
        for op, named in IMPLEMENTATIONS.items()
        for name, implementation in named.items()
        if implementation.compute.__module__.startswith("jaxviz.model.kernels.")
    }
    preferred = {(preference.op, preference.implementation) for preference in preferences()}
    assert kernels | preferred == set(COMPARISONS)


def test_the_order_of_preference():
    """A kernel takes work from those of a higher rank, so each place is stated here."""
    assert [p.implementation for p in preferences("cpu") if p.op is Conv] == [
        "slices",
        "blocks",
        "patches",
        "prepared",  # an image
        "winograd in blocks, small tiles",
        "winograd, small tiles",
        "winograd in blocks",
        "winograd",
        "dilated",
        "prepared",
    ]
    ranks = [(p.op, p.rank, platform) for p in preferences() for platform in p.platforms]
    twice = sorted(
        {
            f"{op.__name__} {rank} on {on}"
            for op, rank, on in ranks
            if ranks.count((op, rank, on)) > 1
        }
    )
    assert not twice, f"a rank is used once per operation and platform: {twice}"
    assert [p.implementation for p in preferences("tpu")] == ["summed"]
    assert preferences("gpu") == ()
