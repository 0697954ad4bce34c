"""Random graphs of layers with random options are refused, or lowered to the shapes of JAX.

`pytest tests/converters/test_random_graphs.py -m slow` tries 5,000 instead of 300.
"""

from __future__ import annotations

import inspect
from typing import Any

import jax
import numpy as np
import pytest

pytest.importorskip("keras")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.config import parse_model
from converters.layers.passthrough import training_only
from converters.layers.registry import CONVERTERS, REFUSED
from converters.lower import lower
from jaxviz.errors import ConversionError
from jaxviz.model import run
from jaxviz.spec import ModelSpec, Source

TRIED = [n for n, f in CONVERTERS.items() if n not in REFUSED and f is not training_only]
CLASSES = sorted(name for name in TRIED if not name.startswith("ops."))
FUNCTIONS = sorted(name[4:] for name in TRIED if name.startswith("ops."))
small = st.integers(-2, 7)
number = st.one_of(small, small, st.floats(-2, 2), st.none(), st.booleans())
values = st.one_of(number, st.lists(small, max_size=4), st.just("x"))
#: Options with values that are often valid; each may get any other value too.
SENSIBLE: dict[str, st.SearchStrategy[Any]] = {
    "filters": st.integers(1, 6), "units": st.integers(1, 6), "groups": st.sampled_from([1, 2, 3]),
    "kernel_size": st.integers(1, 3), "pool_size": st.integers(1, 3), "strides": st.integers(1, 3),
    "dilation_rate": st.integers(1, 2), "padding": st.sampled_from(["valid", "same", 1, [1, 2]]),
    "data_format": st.sampled_from(["channels_last", "channels_first"]), "use_bias": st.booleans(),
    "activation": st.sampled_from(["relu", "softmax", "linear", "glu"]), "axis": small,
    "axes": small, "size": st.integers(1, 3), "cropping": st.integers(0, 2),
    "target_shape": st.lists(st.sampled_from([-1, 1, 2, 3, 6]), min_size=1, max_size=4),
    "dims": st.permutations([1, 2, 3]), "n": st.integers(1, 4), "scale": number, "offset": number,
    "height": st.integers(1, 9), "width": st.integers(1, 9), "depth_multiplier": st.integers(1, 2),
    "interpolation": st.sampled_from(["nearest", "bilinear"]), "num_heads": st.integers(1, 2),
    "key_dim": st.integers(1, 3), "shared_axes": st.lists(st.integers(1, 3), max_size=2),
    "epsilon": st.just(1e-3), "keepdims": st.booleans(), "output_size": st.integers(1, 3),
    "equation": st.sampled_from(["abc,cd->abd", "...x,xy->...y"]), "output_shape": values,
    "repeats": st.integers(1, 3), "newshape": st.lists(small, min_size=1, max_size=4),
    "block_size": st.integers(1, 3), "shift": small, "indices_or_sections": st.integers(1, 3),
    "rate": st.just(0.5), "projection_dim": st.integers(1, 6), "alpha": number,
}  # fmt: skip
SHAPES = ([6, 6, 6], [5, 4, 3], [7, 2], [6], [3, 4, 5, 2], [None, None, 3])


MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot")


def options_of(class_name: str, operation: bool) -> list[str]:
    """The options of a Keras class that `SENSIBLE` has values for."""
    import keras

    found = getattr(keras.layers, class_name, None)
    if operation:
        modules = [vars(keras.src.ops)[m] for m in ("nn", "numpy", "core", "image", "math")]
        found = next((vars(m)[class_name] for m in modules if class_name in vars(m)), None)
    signature = inspect.signature(found.__init__).parameters if found is not None else ()
    return [name for name in signature if name in SENSIBLE]


@st.composite
def layers(draw: st.DrawFn, index: int) -> dict[str, Any]:
    """A layer or function of one or two earlier tensors."""
    operation = draw(st.sampled_from([False, False, True]))
    class_name = draw(st.sampled_from(FUNCTIONS if operation else CLASSES))
    config = {name: draw(SENSIBLE[name]) for name in options_of(class_name, operation)}
    if config and draw(st.integers(0, 4)) == 4:
        config[draw(st.sampled_from(sorted(config)))] = draw(values)
    count = 2 if class_name in MERGES else draw(st.sampled_from([1, 1, 1, 1, 2]))
    sources = draw(st.lists(st.integers(0, index), min_size=count, max_size=count))
    tensors = [
        {"class_name": "__keras_tensor__", "config": {"keras_history": [f"l{i}", 0, 0]}}
        for i in sources
    ]
    arguments = tensors if operation or count == 1 else [tensors]
    return {
        "module": "keras.src.ops.numpy" if operation else "keras.layers",
        "class_name": class_name, "registered_name": None, "name": f"l{index + 1}",
        "config": config, "inbound_nodes": [{"args": arguments}],
    }  # fmt: skip


@st.composite
def models(draw: st.DrawFn) -> dict[str, Any]:
    """A Functional model of an input and some layers."""
    shape = draw(st.sampled_from(SHAPES))
    image = {
        "class_name": "InputLayer", "name": "l0", "module": "keras.layers", "inbound_nodes": [],
        "config": {"batch_shape": [None, *shape], "name": "l0"},
    }  # fmt: skip
    count = draw(st.integers(1, 4))
    listed = [image, *(draw(layers(i)) for i in range(count))]
    config = {
        "name": "net", "layers": listed, "input_layers": [["l0", 0, 0]],
        "output_layers": [[f"l{count}", 0, 0]],
    }  # fmt: skip
    return {"class_name": "Functional", "module": "keras", "config": config}


def check(document: dict[str, Any]) -> None:
    try:
        spec = lower(parse_model(document, (3, 15)), Source()).spec
    except ConversionError:
        return
    shapes = spec.shapes()
    if any(n is None for shape in shapes.values() for n in shape):
        return
    found = jax.eval_shape(lambda w, x: run(spec, w, x, spec.layer_names), *_arguments(spec))
    for name in spec.layer_names:
        assert found[name].shape[1:] == shapes[name], (name, found[name].shape, shapes[name])


def _arguments(spec: ModelSpec) -> tuple[Any, Any]:
    weights: dict[str, dict[str, Any]] = {}
    for node, role, shape in spec.weight_shapes():
        array = jax.ShapeDtypeStruct(tuple(n or 0 for n in shape), np.float32)
        weights.setdefault(node.layer, {})[node.weights[role]] = array
    images = {i.name: jax.ShapeDtypeStruct((2, *i.shape), np.float32) for i in spec.inputs}  # type: ignore[misc]
    return weights, images


drawn = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@settings(drawn, max_examples=300)
@given(models())
def test_a_random_graph_is_refused_or_lowered_to_true_shapes(document: dict[str, Any]) -> None:
    check(document)


@pytest.mark.slow
@settings(drawn, max_examples=5000)
@given(models())
def test_thousands_of_random_graphs(document: dict[str, Any]) -> None:
    check(document)
