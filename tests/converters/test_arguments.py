"""The argument space of convolutions and pooling, drawn at random, against Keras."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.support.keras_models import Keras, Parity

#: Each example builds a Keras layer and compiles it twice.
drawn = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
small = st.integers(1, 3)
padding = st.sampled_from(["valid", "same"])
activation = st.sampled_from([None, "relu", "tanh"])
rank = st.sampled_from([1, 2, 2, 2, 3])


def sizes(data: st.DataObject, rank: int, values: st.SearchStrategy[int]) -> tuple[int, ...]:
    return tuple(data.draw(values) for _ in range(rank))


def compare(keras: Keras, parity: Parity, shape: tuple[int, ...], layer: Any) -> None:
    parity(keras.Sequential([keras.layers.Input(shape), layer]))


@drawn
@given(data=st.data(), rank=rank, padding=padding, activation=activation, bias=st.booleans())
def test_convolution(
    data: st.DataObject, rank: int, padding: str, activation: Any, bias: bool,
    keras: Keras, parity: Parity,
) -> None:  # fmt: skip
    groups = data.draw(st.sampled_from([1, 1, 2]))
    window = sizes(data, rank, st.integers(1, 4))
    strides, dilation = data.draw(
        st.one_of(
            st.tuples(st.tuples(*[small] * rank), st.just((1,) * rank)),
            st.tuples(st.just((1,) * rank), st.tuples(*[small] * rank)),
        )
    )
    shape = (*sizes(data, rank, st.integers(7, 11)), 2 * groups)
    if padding == "valid":
        assume(all(n > (k - 1) * d for n, k, d in zip(shape, window, dilation, strict=False)))
    if rank == 3:  # TensorFlow's CPU kernels cannot
        assume(groups == 1)
        assume(max(dilation) == 1)
    layer = getattr(keras.layers, f"Conv{rank}D")(
        2 * groups, window, strides, padding, dilation_rate=dilation, groups=groups,
        activation=activation, use_bias=bias,
    )  # fmt: skip
    compare(keras, parity, shape, layer)


@drawn
@given(data=st.data(), rank=rank, padding=padding, bias=st.booleans())
def test_transposed_convolution(
    data: st.DataObject, rank: int, padding: str, bias: bool, keras: Keras, parity: Parity
) -> None:
    window, strides = sizes(data, rank, st.integers(1, 4)), sizes(data, rank, small)
    shape = (*sizes(data, rank, st.integers(2, 5)), 2)
    layer = getattr(keras.layers, f"Conv{rank}DTranspose")(
        3, window, strides, padding, use_bias=bias
    )
    compare(keras, parity, shape, layer)


@drawn
@given(data=st.data(), padding=padding, window=st.integers(2, 5), stride=st.integers(2, 4))
def test_transposed_convolution_with_output_padding(
    data: st.DataObject, padding: str, window: int, stride: int, keras: Keras, parity: Parity
) -> None:
    extra = data.draw(st.integers(0, stride - 1))
    size = data.draw(st.integers(3, 6))
    layer = keras.layers.Conv2DTranspose(3, window, stride, padding, output_padding=extra)
    try:
        keras.Sequential([keras.layers.Input((size, size, 2)), layer])(
            keras.ops.zeros((1, size, size, 2))
        )
    except Exception:  # noqa: BLE001 - TensorFlow refuses sizes that no convolution gives
        assume(False)
    compare(keras, parity, (size, size, 2), layer)


@drawn
@given(dilation=st.integers(2, 3), window=st.integers(1, 3), padding=padding)
def test_dilated_transposed_convolution(
    dilation: int, window: int, padding: str, keras: Keras, parity: Parity
) -> None:
    layer = keras.layers.Conv2DTranspose(3, window, padding=padding, dilation_rate=dilation)
    compare(keras, parity, (5, 6, 2), layer)


@drawn
@given(
    data=st.data(), rank=st.sampled_from([1, 2]), padding=padding, multiplier=small,
    separable=st.booleans(), activation=activation, bias=st.booleans(),
)  # fmt: skip
def test_depthwise_and_separable_convolution(
    data: st.DataObject, rank: int, padding: str, multiplier: int, separable: bool,
    activation: Any, bias: bool, keras: Keras, parity: Parity,
) -> None:  # fmt: skip
    window = sizes(data, rank, st.integers(1, 4))
    stride, dilation = data.draw(st.sampled_from([(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)]))
    shape = (*sizes(data, rank, st.integers(10, 12)), 3)
    arguments = {
        "strides": stride, "padding": padding, "dilation_rate": dilation,
        "depth_multiplier": multiplier, "activation": activation, "use_bias": bias,
    }  # fmt: skip
    if separable:
        layer = getattr(keras.layers, f"SeparableConv{rank}D")(4, window, **arguments)
    else:
        layer = getattr(keras.layers, f"DepthwiseConv{rank}D")(window, **arguments)
    compare(keras, parity, shape, layer)


@drawn
@given(data=st.data(), rank=rank, padding=padding, kind=st.sampled_from(["Max", "Average"]))
def test_pooling(
    data: st.DataObject, rank: int, padding: str, kind: str, keras: Keras, parity: Parity
) -> None:
    window = sizes(data, rank, st.integers(1, 4))
    strides = data.draw(st.one_of(st.none(), st.tuples(*[small] * rank)))
    shape = (*sizes(data, rank, st.integers(4, 9)), 2)
    layer = getattr(keras.layers, f"{kind}Pooling{rank}D")(window, strides, padding)
    compare(keras, parity, shape, layer)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "lanczos3", "lanczos5"])
@pytest.mark.parametrize("size", [2, (1, 3), (4, 2)])
def test_upsampling(interpolation: str, size: Any, keras: Keras, parity: Parity) -> None:
    layer = keras.layers.UpSampling2D(size, interpolation=interpolation)
    compare(keras, parity, (5, 4, 3), layer)
