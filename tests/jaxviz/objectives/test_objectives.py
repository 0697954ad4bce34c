"""Every objective: the same contract for all, and numbers against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxviz
from jaxviz.errors import ConfigError
from jaxviz.model import Model
from jaxviz.model.graph import run
from jaxviz.objectives import (
    OBJECTIVES,
    Activations,
    Border,
    Caricature,
    Channel,
    Cosine,
    Direction,
    Diversity,
    Inversion,
    LatentNorm,
    Layer,
    Logit,
    Network,
    Neuron,
    Norm,
    TotalVariation,
)
from jaxviz.objectives.activations import REPLICATES
from jaxviz.objectives.neuron import receptive_field
from jaxviz.objectives.text import objective_names, objective_table, parse_objective
from jaxviz.parameterizations import Pixel
from jaxviz.presets import Preset
from tests.support.examples import GIVEN, VECTOR
from tests.support.examples import OBJECTIVES as EXAMPLES
from tests.support.tiny import tiny_bundle

CLOSE = {"rtol": 2e-5, "atol": 1e-6}


@pytest.fixture(scope="module")
def bundle():
    return tiny_bundle()


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(1).uniform(-1, 1, (16, 16, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def activations(bundle, picture):
    taps = ("conv1", "conv2", "conv2/pre_activation", "scores")
    return {n: np.asarray(v)[0] for n, v in Model(bundle)(picture[None], taps=taps)[1].items()}


def evaluate(bundle, objective, image, channel=3, layer="conv2"):
    params = {k: {n: jnp.asarray(w) for n, w in v.items()} for k, v in bundle.weights.items()}
    network = Network(bundle.spec, {}, (16, 16, 3))
    return objective.value(
        Activations(network, params, image, image, image, layer, jnp.int32(channel))
    )


def test_every_objective_has_an_example():
    assert {o.kind for o in EXAMPLES} | {"scaled", "diversity"} == set(OBJECTIVES)


@pytest.mark.parametrize("objective", EXAMPLES, ids=lambda one: one.kind)
def test_contract(bundle, picture, objective):
    both = jax.jit(jax.value_and_grad(lambda x, k: evaluate(bundle, objective, x, k), argnums=0))
    value, gradient = both(picture, 3)
    assert value.shape == ()
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert (np.asarray(gradient) != 0).any()
    # The gradient belongs to the value: a small step uphill raises the value by its length.
    step = np.asarray(gradient) / np.linalg.norm(gradient) * 1e-2
    risen = float(both(picture + step, 3)[0] - both(picture - step, 3)[0]) / 2e-2
    np.testing.assert_allclose(risen, np.linalg.norm(gradient), rtol=0.1)

    images, channels = jnp.stack([picture, -picture]), jnp.array([3, 5])
    together = jax.jit(jax.vmap(lambda x, k: evaluate(bundle, objective, x, k)))(images, channels)
    alone = [both(x, k)[0] for x, k in zip(images, channels, strict=True)]
    np.testing.assert_allclose(together, alone, **CLOSE)

    if hasattr(objective, "image"):
        assert len(objective.model_dump(mode="json")["image"]["sha256"]) == 64
        return
    again = Preset(name="p", objective=objective)
    assert Preset.model_validate_json(again.model_dump_json()).objective == objective


def test_values(bundle, picture, activations):
    conv2, before = activations["conv2"], activations["conv2/pre_activation"]
    vector = np.array(VECTOR)
    along = conv2 @ vector
    cosine = along / np.maximum(np.linalg.norm(conv2, axis=-1) * np.linalg.norm(vector), 1e-6)
    down, right = np.diff(picture, axis=0), np.diff(picture, axis=1)
    squares = down[:, :-1] ** 2 + right[:-1] ** 2
    size = picture.size
    expected = {
        Channel(): conv2[..., 3].mean(),
        Channel(trim=1): conv2[1:-1, 1:-1, 3].mean(),
        Channel(leak=0.2): 0.8 * conv2[..., 3].mean() + 0.2 * before[..., 3].mean(),
        Channel(stage="pre_activation"): before[..., 3].mean(),
        Channel(layer="conv1", channel=2): activations["conv1"][..., 2].mean(),
        Layer(): (conv2**2).mean(),
        Direction(vector=VECTOR): along.mean(),
        Direction(vector=VECTOR, cosine=2.0): (along * np.maximum(cosine, 0.1) ** 2).mean(),
        Cosine(vector=VECTOR): cosine.mean(),
        Logit(layer="scores", label=1): activations["scores"][1],
        TotalVariation(): (np.abs(down).sum() + np.abs(right).sum()) / size,
        TotalVariation(beta=2.0): squares.sum() / size,
        TotalVariation(beta=1.5): (squares**0.75).sum() / size,
        Norm(p=1): np.abs(picture).mean(),
        Norm(p=6): (np.abs(picture) ** 6).mean() ** (1 / 6),
        Norm(p=6, over="size"): (np.abs(picture) ** 6).sum() ** (1 / 6) / size,
        LatentNorm(): (picture**2).mean(),
    }
    for objective, value in expected.items():
        found = evaluate(bundle, objective, picture)
        np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-6, err_msg=str(objective))


def test_border_counts_the_frame_alone(bundle):
    image = np.zeros((16, 16, 3), np.float32)
    image[8, 8] = 1.0
    inside = evaluate(bundle, Border(width=3), image)
    image[1, 1] = 1.0
    assert evaluate(bundle, Border(width=3), image) > 10 * inside


def test_penalties_of_flat_pictures_have_gradients(bundle):
    for objective in (TotalVariation(beta=1.5), Norm(p=6), Norm(p=2)):
        gradient = jax.grad(lambda x, o=objective: evaluate(bundle, o, x))(jnp.zeros((16, 16, 3)))
        assert np.isfinite(gradient).all()


def test_arithmetic_and_description(bundle, picture):
    one, two = Channel(), Channel(layer="conv1", channel=2)
    a, b = (float(evaluate(bundle, o, picture)) for o in (one, two))
    for objective, value in (
        (one + two, a + b),
        (one - two, a - b),
        (-one, -a),
        (3 * one - 0.5 * two, 3 * a - 0.5 * b),
        (one * two, a * b),
        (-(2 * (one + two)), -2 * (a + b)),
    ):
        np.testing.assert_allclose(evaluate(bundle, objective, picture), value, rtol=1e-4)
    assert str(3 * one - 0.5 * two) == "3·channel − 0.5·channel 2 of conv1"
    assert str(-(one + Layer())) == "−(channel + layer)"


def test_a_score_excludes_penalties_and_rescues():
    assert (Channel(leak=0.1, trim=2) - 2.0 * Norm()).score() == Channel(trim=2)
    assert (2.0 * Channel() - TotalVariation()).score() == 2.0 * Channel()
    assert TotalVariation().score() is None


def test_a_direction_of_another_length_is_refused(bundle):
    preset = Preset(name="p", objective=Direction(vector=(1.0, 2.0)), steps=1)
    with pytest.raises(ConfigError, match="2 numbers does not fit a layer of 10 channels"):
        jaxviz.render(bundle, "conv2", [0], preset=preset, size=16)


def test_an_objective_on_another_layer_is_raised(bundle):
    preset = Preset(name="p", objective=Channel(layer="conv1", channel=2), steps=8)
    result = jaxviz.render(bundle, "conv2", preset=preset, size=16)
    assert result.channels.tolist() == [0]  # all units of the layer have the same objective
    assert (result.scores > result.initial_scores).all()


def test_unknown_kinds_are_offered():
    with pytest.raises(ConfigError, match="channel.*direction"):
        Preset(name="p").change('objective={"kind": "chanel"}')


@pytest.mark.parametrize("position", [(0, 0), (3, 5), (7, 7), (4, 0)])
def test_a_neuron_from_its_receptive_field_alone(bundle, picture, activations, position):
    found = evaluate(bundle, Neuron(position=position), picture)
    np.testing.assert_allclose(found, activations["conv2"][(*position, 3)], **CLOSE)
    gradient = jax.grad(lambda x: evaluate(bundle, Neuron(position=position), x))(picture)
    whole = jax.grad(lambda x: _at(bundle, x, position))(picture)
    np.testing.assert_allclose(gradient, whole, rtol=1e-4, atol=1e-6)


def _at(bundle, image, position):
    params = {k: {n: jnp.asarray(w) for n, w in v.items()} for k, v in bundle.weights.items()}
    return run(bundle.spec, params, {"image": image[None]}, ["conv2"])["conv2"][0][(*position, 3)]


def test_the_receptive_field_is_a_part_of_a_large_image(bundle):
    field = receptive_field(bundle.spec, "conv2", (64, 63, 3), (16, 16))
    assert field is not None
    for window in field:
        assert window.stop - window.start < 14


def test_a_neuron_outside_the_map_is_refused(bundle, picture):
    with pytest.raises(ConfigError, match="no position 8, 0[\\s\\S]*8×8"):
        evaluate(bundle, Neuron(position=(8, 0)), picture)


def test_inversion_and_caricature(bundle, activations, picture):
    own, other = activations["conv1"], evaluate_layer(bundle, GIVEN)
    found = evaluate(bundle, Inversion(image=GIVEN, layer="conv1"), picture)
    np.testing.assert_allclose(found, -((own - other) ** 2).sum() / (other**2).sum(), rtol=1e-4)
    cosine = (own * other).sum() / np.sqrt((own**2).sum() * (other**2).sum())
    found = evaluate(bundle, Caricature(image=GIVEN, layer="conv1"), picture)
    np.testing.assert_allclose(found, (own * other).sum() / (other**2).sum() * cosine, rtol=1e-4)
    same = evaluate(bundle, Inversion(image=picture, layer="conv1"), picture)
    np.testing.assert_allclose(same, 0.0, atol=1e-6)


def evaluate_layer(bundle, image):
    return np.asarray(Model(bundle)(image[None], taps=("conv1",))[1]["conv1"])[0]


PLAIN = Preset(name="plain", objective=Channel(trim=1), parameterization=Pixel(noise=0.2), steps=6)


@pytest.mark.parametrize(
    ("text", "objective"),
    [
        ("channel", Channel(trim=1)),
        ("-channel(trim=0)", -Channel()),
        ("filter(3) + 2*deepdream", Channel(channel=3, trim=1) + 2 * Layer()),
        ("channel - 0.1*total_variation", Channel(trim=1) - 0.1 * TotalVariation()),
        ("channel*layer('conv1') - norm(6)", Channel(trim=1) * Layer(layer="conv1") - Norm(p=6)),
        ("neuron(3, 4)", Neuron(position=(3, 4))),
        ("neuron(layer='conv1', channel=2)", Neuron(layer="conv1", channel=2)),
        ("logit(1, layer=scores)", Logit(label=1, layer="scores")),
        ("direction([1, 2], cosine=2)", Direction(vector=(1.0, 2.0), cosine=2.0)),
        ("channel + 0.5*diversity('conv1')", Channel(trim=1) + 0.5 * Diversity(layer="conv1")),
    ],
)
def test_objectives_as_text(text, objective):
    assert parse_objective(text, PLAIN.objective) == objective


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chanel", r"no objective 'chanel'[\s\S]*Did you mean channel"),
        ("xyz", r"There are: channel, neuron"),
        ("sum(channel)", r"no objective 'sum'"),
        ("channel -", r"is not an objective[\s\S]*such as"),
        ("3", r"a number, not an objective"),
        ("channel + 3", r"channel and 3 cannot be added"),
        ("channel(tri=3)", r"no field 'tri'[\s\S]*Did you mean trim"),
        ("latent_norm(3)", r"takes 0 fields by place, found 1"),
        ("norm(0.5)", r"norm.*p: .*greater than or equal to 1"),
        ("direction('nowhere.npy')", r"no file 'nowhere.npy'"),
        ("channel / 3", r"cannot be part of an objective"),
        ("__import__('os').system('true')", r"cannot be part of an objective"),
        ("(" * 300 + "channel" + ")" * 300, r"is not an objective"),
    ],
)
def test_text_that_names_no_objective_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_objective(text)


def test_the_table_names_every_objective():
    table = objective_table()
    assert all(f"\n{name}" in table for name in objective_names())


def test_directions_and_images_from_files(bundle, tmp_path):
    rows = np.random.default_rng(3).normal(size=(3, 10))
    np.save(tmp_path / "probes.npy", rows)
    found = parse_objective("direction('probes.npy')", folder=str(tmp_path))
    assert found == Direction(vector=rows)
    assert found.model_dump(mode="json")["vector"]["shape"] == [3, 10]
    result = jaxviz.render(bundle, "conv2", preset=PLAIN, objective=found, size=16)
    assert result.channels.tolist() == [0, 1, 2]
    alone = jaxviz.render(
        bundle, "conv2", preset=PLAIN, objective=Direction(vector=rows[0]), size=16
    )
    np.testing.assert_allclose(result.raw[0], alone.raw[0], rtol=1e-3, atol=1e-4)
    np.save(tmp_path / "image.npy", GIVEN)
    text = f"inversion({str(tmp_path / 'image.npy')!r}, layer='conv1')"
    result = jaxviz.render(bundle, "conv2", preset=PLAIN, objective=text, size=16)
    assert result.scores[0] > result.initial_scores[0]
    np.save(tmp_path / "words.npy", np.array(["a"]))
    with pytest.raises(ConfigError, match="does not hold directions"):
        parse_objective("direction('words.npy')", folder=str(tmp_path))


def test_diversity_against_numpy_and_its_gradient(bundle):
    images = np.random.default_rng(2).uniform(-1, 1, (3, 16, 16, 3)).astype(np.float32)

    def together(stack):
        each = jax.vmap(lambda x: evaluate(bundle, Diversity(), x), axis_name=REPLICATES)
        return each(stack)

    layer = np.asarray(Model(bundle)(images, taps=("conv2",))[1]["conv2"]).reshape(3, -1, 10)
    grams = np.einsum("npc,npd->ncd", layer, layer).reshape(3, -1)
    grams /= np.linalg.norm(grams, axis=1, keepdims=True)
    cosines = grams @ grams.T
    np.testing.assert_allclose(together(images), -(cosines.sum(1) - 1) / 2, rtol=1e-4)

    # The ascent follows the gradient of the sum over all pictures.
    def of_one(x):
        return jax.grad(lambda x: evaluate(bundle, Diversity(), x))(x)

    found = jax.vmap(of_one, axis_name=REPLICATES)(images)
    expected = jax.grad(lambda stack: together(stack).sum())(images)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_replicates_differ_more_with_diversity(bundle):
    settings = {"preset": PLAIN, "size": 16, "replicates": 3, "measure": True, "steps": 20}
    alike = jaxviz.render(bundle, "conv2", [1, 4], **settings)
    diverse = jaxviz.render(
        bundle, "conv2", [1, 4], objective=Channel() + 0.3 * Diversity(), **settings
    )
    assert diverse.channels.tolist() == [1, 1, 1, 4, 4, 4]
    agreement = [r.measures["agreement"].mean() for r in (alike, diverse)]
    assert agreement[1] < agreement[0]
    assert (diverse.scores > diverse.initial_scores).mean() > 0.6
    alone = jaxviz.render(
        bundle, "conv2", [4], objective=Channel() + 0.3 * Diversity(), chunk=1, **settings
    )
    np.testing.assert_allclose(alone.raw, diverse.raw[3:], rtol=1e-3, atol=1e-4)
    with pytest.raises(ConfigError, match="2 replicates or more"):
        jaxviz.render(bundle, "conv2", objective="diversity")


def test_the_border_of_a_map_counts_late_in_the_ascent(bundle, picture, activations):
    params = {k: {n: jnp.asarray(w) for n, w in v.items()} for k, v in bundle.weights.items()}
    network, own = Network(bundle.spec, {}, (16, 16, 3)), activations["conv2"][..., 3]
    objective = Channel(trim=2, trim_until=0.5)
    for progress, expected in ((0.0, own[2:-2, 2:-2]), (0.4, own[2:-2, 2:-2]), (0.6, own)):
        seen = Activations(
            network, params, picture, picture, picture, "conv2", jnp.int32(3), progress=progress
        )
        np.testing.assert_allclose(objective.value(seen), expected.mean(), **CLOSE)
    # The score of a finished picture uses the whole map.
    np.testing.assert_allclose(evaluate(bundle, objective, picture), own.mean(), **CLOSE)


def test_a_neuron_costs_its_receptive_field(bundle):
    def operations(objective):
        params = {k: {n: jnp.asarray(w) for n, w in v.items()} for k, v in bundle.weights.items()}
        network = Network(bundle.spec, {}, (96, 96, 3))

        def value(x):
            seen = Activations(network, params, x, x, x, "conv2", jnp.int32(3))
            return objective.value(seen)

        lowered = jax.jit(jax.grad(value)).lower(np.zeros((96, 96, 3), np.float32))
        return lowered.compile().cost_analysis()["flops"]

    # The neuron sees 10 of 96 pixels a side.
    assert operations(Neuron(position=(20, 20))) < 0.1 * operations(Channel())
