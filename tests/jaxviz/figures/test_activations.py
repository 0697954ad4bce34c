"""Before and after an activation function, and other functions in its place."""

import jax
import numpy as np
import pytest

import jaxviz
from jaxviz.errors import ImageSizeError, JaxvizError
from jaxviz.figures import activation_maps, swapped_activations
from jaxviz.figures.activations import activation_pairs, function_name
from jaxviz.figures.style import get_theme
from jaxviz.spec import Activation, Node, PRelu
from tests.support.models import real_model
from tests.support.tidy import assert_tidy, chain, texts_of

FIRST = "convolution_number_1"


def pictures(count, channels=3):
    rng = np.random.default_rng(count)
    return rng.uniform(size=(count, 32, 32, channels)).astype(np.float32)


def shown_maps(figure, size):
    arrays = [image.get_array() for image in figure.axes[0].images]
    return [a for a in arrays if a.shape == (size, size)]


def test_both_sides_are_the_networks_and_zeros_are_holes():
    model, images = chain(1), pictures(1)
    figure = activation_maps(model, images, layers=[FIRST], channels=[3])
    _, seen = model(images, taps=[f"{FIRST}/pre_activation", FIRST])
    before, after = shown_maps(figure, 32)
    np.testing.assert_allclose(before, seen[f"{FIRST}/pre_activation"][0, ..., 3], atol=1e-6)
    assert not np.ma.getmaskarray(before).any()
    np.testing.assert_array_equal(
        np.ma.getmaskarray(after), np.asarray(seen[FIRST])[0, ..., 3] == 0
    )
    share = 100 * np.mean(np.asarray(seen[FIRST])[0, ..., 3] == 0)
    assert f"{share:.0f} % zero" in texts_of(figure)
    # What passes a ReLU keeps its colour.
    norms = {(i.norm.vmin, i.norm.vmax) for i in figure.axes[0].images if (i.norm.vmin or 0) < 0}
    assert len(norms) == 1
    assert figure.axes[0].images[-1].cmap.get_bad()[:3] == pytest.approx(
        _rgb(get_theme("light").hole), abs=0.01
    )


@pytest.mark.parametrize(("layers", "images"), [(1, 1), (2, 12), (12, 3)])
def test_tidy(layers, images):
    model = chain(12)
    names = [f"convolution_number_{k}" for k in range(1, layers + 1)]
    theme = "dark" if layers == 2 else "light"
    assert_tidy(activation_maps(model, pictures(images), layers=names, theme=theme, title="ReLU"))


def test_batch_norm_between_a_convolution_and_its_activation():
    spec = jaxviz.load(real_model("fer.hdf5")).spec
    assert activation_pairs(spec, ["conv2d_1"]) == (("batch_normalization_1", "activation_1"),)


def test_a_squeezing_function_gets_a_scale_of_its_own():
    model = chain(1)
    fields = {name: getattr(model.spec, name) for name in type(model.spec).model_fields}
    fields["nodes"] = tuple(
        n.model_copy(update={"op": Activation(function="sigmoid")}) if n.name == FIRST else n
        for n in model.spec.nodes
    )
    model.spec = type(model.spec)(**fields)
    figure = activation_maps(model, pictures(1), layers=[FIRST])
    assert "one colour bar" in " ".join(texts_of(figure))
    assert_tidy(figure)


def test_names_of_functions():
    def name(op):
        return function_name(Node(name="a", layer="a", inputs=("x",), op=op))

    assert name(Activation(function="silu")) == "SiLU"
    assert name(Activation(function="relu", arguments={"negative_slope": 0.1})) == "leaky ReLU"
    assert name(Activation(function="hard_tanh")) == "hard tanh"
    assert name(PRelu()) == "PReLU"


def test_swaps_are_what_jax_computes_and_reach_the_output():
    model, images = chain(2), pictures(1)
    figure = swapped_activations(model, images, layer=FIRST, channels=[2])
    before = np.asarray(
        model(images, taps=[f"{FIRST}/pre_activation"])[1][f"{FIRST}/pre_activation"]
    )
    functions = [
        jax.nn.relu,
        lambda x: jax.nn.leaky_relu(x, 0.2),
        jax.nn.elu,
        np.tanh,
        jax.nn.sigmoid,
        lambda x: jax.nn.gelu(x, approximate=False),
        jax.nn.silu,
    ]
    maps = shown_maps(figure, 32)
    assert len(maps) == 1 + len(functions)
    np.testing.assert_allclose(maps[0], before[0, ..., 2], atol=1e-5)
    for found, function in zip(maps[1:], functions, strict=True):
        wanted = np.asarray(function(before[0, ..., 2]))
        np.testing.assert_allclose(found.data, wanted, atol=1e-5)
    shares = [t for t in texts_of(figure) if t.endswith("%") and t[0].isdigit()]
    assert len(shares) > len(set(shares)) > 5  # the rows conclude different things
    assert_tidy(figure)


def test_the_whole_network_with_the_function_swapped():
    model, images = chain(2), pictures(1)
    figure = swapped_activations(model, images, layer=FIRST, labels=list("abcde"))
    before = model(images, taps=[f"{FIRST}/pre_activation"])[1][f"{FIRST}/pre_activation"]
    from jaxviz.model.ops import compute

    values = jax.nn.silu(before)
    arrays = model.arrays()
    for node in model.spec.nodes[2:]:
        weights = {role: arrays[node.layer][key] for role, key in node.weights.items()}
        values = compute(node.op, weights, values)
    bold = [t.get_text() for t in figure.axes[0].texts if t.get_weight() == "bold"]
    assert [t for t in bold if t in "abcde"][-1] == "abcde"[int(values.argmax())]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_swaps_are_tidy(theme):
    model = chain(3, channels=1)
    figure = swapped_activations(
        model, pictures(1, 1), maps=5, theme=theme, title="Swapped", labels=["a long name"] * 5
    )
    assert_tidy(figure)


def test_mistakes():
    model = chain(2)
    with pytest.raises(ImageSizeError, match="one image at a time, found 2"):
        swapped_activations(model, pictures(2))
    for layers, message in [
        (["pool2"], "no activation function follows layer 'pool2'"),
        (["mean"], "mean: its output is 6"),
        (["convolution_number_3"], "Did you mean"),
    ]:
        with pytest.raises(JaxvizError, match=message):
            activation_maps(model, pictures(1), layers=layers)
    with pytest.raises(JaxvizError, match="names 2 layers"):
        swapped_activations(model, pictures(1), layer="convolution_number_*")


def _rgb(colour):
    return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
