"""A spec's shapes, receptive fields, least sizes and names agree with its computation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from jaxviz._util.filenames import encode
from jaxviz._util.text import printable
from jaxviz.errors import ImageSizeError
from jaxviz.model import run
from jaxviz.spec import Activation, Conv, InputSpec, ModelSpec, Node, Pool, Reduce
from tests.support.branches import SHAPES, SPEC, WEIGHTS
from tests.support.tiny import tiny_bundle


def test_shapes_equal_those_of_the_results():
    images = {"image": jnp.zeros((1, *SPEC.inputs[0].shape))}
    for name, value in run(SPEC, WEIGHTS, images, SPEC.layer_names).items():
        assert value.shape[1:] == SHAPES[name], name


linear = st.builds(
    lambda window, stride, dilation, pool: (
        Pool(kind="average", window=(window,) * 2, strides=(stride,) * 2, padding="valid")
        if pool
        else Conv(
            filters=1,
            window=(window,) * 2,
            strides=(stride,) * 2,
            dilation=(dilation,) * 2,
            padding="valid",
            bias=False,
        )
    ),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(1, 2),
    st.booleans(),
)


@given(st.lists(linear, min_size=1, max_size=3))
def test_the_receptive_field_is_where_the_gradient_is(ops):
    nodes = []
    for number, op in enumerate(ops):
        source = f"n{number - 1}" if number else "image"
        weights = {"kernel": "kernel"} if isinstance(op, Conv) else {}
        nodes.append(
            Node(name=f"n{number}", layer=f"n{number}", op=op, inputs=(source,), weights=weights)
        )
    last = nodes[-1].name
    spec = ModelSpec(
        name="chain",
        inputs=(InputSpec(name="image", shape=(40, 40, 1)),),
        nodes=tuple(nodes),
        outputs=(last,),
    )
    params = {n.layer: {"kernel": jnp.ones((*n.op.window, 1, 1))} for n in nodes if n.weights}

    def corner(image):
        return run(spec, params, {"image": image}, [last])[last][0, 0, 0, 0]

    gradient = np.asarray(jax.grad(corner)(jnp.zeros((1, 40, 40, 1))))[0, :, :, 0]
    rows, columns = np.nonzero(gradient)
    assert spec.receptive_field(last) == (rows.max() + 1, columns.max() + 1)


def test_an_operation_says_which_positions_it_reads():
    pool = Pool(kind="max", window=(3, 3), strides=(2, 2), padding="same")
    assert pool.reads((8, 9), 0) == (2, 0, 3)
    assert pool.reads((8, 9), 1) == (2, 1, 3)
    assert Activation(function="relu").reads((8, 9), 0) == (1, 0, 1)
    assert Reduce(kind="mean", axes=(-2,), keepdims=True).reads((8, 9), 0) is None
    assert Activation(function="softmax").reads((8, 9), 0) is None


def test_the_least_image_size_is_the_first_that_works():
    spec = tiny_bundle().spec
    least = spec.least_image_size("conv2")
    spec.shapes((least, least, 3), targets=["conv2"])
    with pytest.raises(ImageSizeError, match="pool1"):
        spec.shapes((least - 1, least - 1, 3), targets=["conv2"])


def test_json_round_trip_and_order():
    assert ModelSpec.model_validate_json(SPEC.model_dump_json()) == SPEC
    fields = {name: getattr(SPEC, name) for name in ModelSpec.model_fields}
    with pytest.raises(ValidationError, match="does not come before it"):
        ModelSpec(**{**fields, "nodes": SPEC.nodes[::-1]})


@given(st.text(max_size=300), st.text(max_size=300))
def test_keys_are_safe_and_differ(one, two):
    key = encode(one)
    assert 0 < len(key) <= 200
    assert key == key.lower()
    assert set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-%")
    assert (key == encode(two)) == (one == two)


@pytest.mark.parametrize("name", ["con", "NUL", "com1", "", ".", "..", "a/b", "A", "é", "a" * 400])
def test_awkward_names(name):
    assert encode(name) not in ("con", "nul", "com1", "", ".", "..")
    assert "/" not in encode(name)


@given(st.text())
def test_nothing_reaches_a_terminal_that_moves_the_cursor(text):
    assert all(c.isprintable() or c == "\n" for c in printable(text))
