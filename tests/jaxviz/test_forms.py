"""Every fast form of every operation equals XLA's own: values and gradients, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxviz.model.ops import compute
from jaxviz.spec import DepthwiseConv, Op, Pool

EXACT = 1e-11

sizes = st.integers(5, 11)
window = st.integers(1, 5)
stride = st.integers(1, 4)
padding = st.sampled_from(["same", "valid", ((1, 0), (0, 2))])


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def assert_forms_equal(op: Op, weights: dict[str, np.ndarray], shape: tuple[int, ...], form: str):
    """The form gives the same result and the same gradient to its input as `direct`."""
    draw = np.random.default_rng(0)
    x = jnp.asarray(draw.normal(size=shape))
    arrays = {role: jnp.asarray(array) for role, array in weights.items()}
    expected, expected_vjp = jax.vjp(lambda x: compute(op, arrays, x), x)
    found, found_vjp = jax.vjp(lambda x: compute(op, arrays, x, form=form), x)
    cotangent = jnp.asarray(draw.normal(size=expected.shape))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=EXACT)
    np.testing.assert_allclose(found_vjp(cotangent)[0], expected_vjp(cotangent)[0], atol=EXACT)


def fits(size: int, window: int, padding: object) -> bool:
    return padding == "same" or size >= window


@settings(deadline=None, max_examples=12, derandomize=True)
@given(st.sampled_from(["max", "average"]), sizes, sizes, window, window, stride, stride, padding)
def test_pool(kind, height, width, high, wide, down, across, padding):
    if not (fits(height, high, padding) and fits(width, wide, padding)):
        return
    if isinstance(padding, tuple) and (high < 2 or wide < 3):
        return  # a window of padding alone has no maximum and no mean
    op = Pool(kind=kind, window=(high, wide), strides=(down, across), padding=padding)
    assert_forms_equal(op, {}, (2, height, width, 3), "slices")


@settings(deadline=None, max_examples=12, derandomize=True)
@given(sizes, sizes, window, window, stride, stride, padding, st.integers(1, 2), st.integers(1, 2))
def test_depthwise(height, width, high, wide, down, across, padding, dilation, multiplier):
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
    assert_forms_equal(op, weights, (2, height, width, 3), "slices")


def test_the_first_of_equal_maxima_takes_the_gradient():
    op = Pool(kind="max", window=(3, 3), strides=(2, 2), padding="same")
    flat = jnp.zeros((1, 6, 6, 1))
    found = jax.grad(lambda x: compute(op, {}, x, form="slices").sum())(flat)
    expected = np.zeros((6, 6))
    expected[::2, ::2] = 1  # padding is at the end alone: each window begins at a real position
    np.testing.assert_array_equal(found[0, ..., 0], expected)
