"""Dead units are found, tried again, and labelled; finished ones make room; starts compete."""

import numpy as np
import pytest

import jaxviz
from jaxviz.engine import renderer
from jaxviz.model.bounds import channel_bounds
from jaxviz.objectives import Channel
from jaxviz.parameterizations import Pixel
from jaxviz.presets import PRESETS, Preset
from jaxviz.presets.optimizers import Call, OptimizerConfig
from jaxviz.presets.stop import Stop
from jaxviz.spec import InputRange
from jaxviz.status import Reason, UnitStatus
from jaxviz.transforms import Jitter
from tests.support.tiny import tiny_bundle

#: As small as a preset gets, so that it compiles at once.
PLAIN = Preset(
    name="plain",
    units=(0.0, 1.0),
    steps=24,
    objective=Channel(),
    parameterization=Pixel(noise=0.1, squash="sigmoid"),
    transforms=(Jitter(amount=4, wrap=True),),
    optimizer=OptimizerConfig(optimizer=Call(name="adam"), learning_rate=0.1),
    rescue=True,
)


@pytest.fixture(scope="module")
def bundle():
    return tiny_bundle(range_=InputRange(low=(0.0,), high=(1.0,)))


def with_bias(bundle, layer, changes):
    weights = {name: dict(arrays) for name, arrays in bundle.weights.items()}
    bias = weights[layer]["bias"].copy()
    for channel, value in changes.items():
        bias[channel] = value
    weights[layer]["bias"] = bias
    return type(bundle)(bundle.spec, weights)


def reach(bundle, channel):
    """(typical, highest) value before conv1's ReLU over images in 0…1, at an inner position."""
    kernel = bundle.weights["conv1"]["kernel"][..., channel]
    return float(kernel.sum() / 2), float(np.maximum(kernel, 0).sum())


def test_dead_units_are_rescued_or_proven_unreachable(bundle):
    middle, highest = reach(bundle, 1)
    # closed for every grey picture, open for the best one; and closed for all
    closed = -(0.8 * middle + 0.2 * highest)
    open_ = dict.fromkeys((0, 3, 4, 5), 1.0)
    shut = with_bias(bundle, "conv1", {**open_, 1: closed, 2: -100.0})
    left = jaxviz.render(shut, "conv1", preset=PLAIN.override(rescue=False), size=16)
    assert left.status.tolist() == [1, 2, 2, 1, 1, 1]
    assert left.reasons[1] == Reason.NO_GRADIENT
    assert left.reasons[2] == Reason.UNREACHABLE
    tried = jaxviz.render(shut, "conv1", preset=PLAIN.override(rescue=True), size=16)
    assert tried.status.tolist() == [1, 4, 2, 1, 1, 1]
    assert tried.reasons.tolist() == [0, Reason.PRE_ACTIVATION, Reason.UNREACHABLE, 0, 0, 0]
    assert tried.scores[1] > 0
    assert tried.scores[2] == 0
    np.testing.assert_array_equal(tried.raw[[0, 3, 4, 5]], left.raw[[0, 3, 4, 5]])


def test_giving_up_the_dead_changes_nothing_where_nothing_is_drawn(bundle, monkeypatch):
    shut = with_bias(bundle, "conv1", {0: 1.0, 2: -100.0, 3: 1.0, 5: -100.0})
    made = []
    for given_up in (False, True):
        monkeypatch.setattr(Preset, "stays_without_gradient", given_up)
        made.append(jaxviz.render(shut, "conv1", preset="keras-io", size=16, chunk=2))
    full, early = made
    assert full.steps.tolist() == [30] * 6
    assert early.steps.tolist() == [6 if s == UnitStatus.DEAD else 30 for s in full.status]
    assert (full.status == UnitStatus.DEAD).any()
    for name in ("raw", "scores", "status", "reasons"):
        np.testing.assert_array_equal(getattr(early, name), getattr(full, name))


def test_a_unit_behind_closed_activations_is_rescued_by_leaky_gradients(bundle):
    shut = {
        channel: -(0.3 * m + 0.7 * h) for channel in range(6) for m, h in [reach(bundle, channel)]
    }
    dead_bundle = with_bias(bundle, "conv1", shut)
    plain = jaxviz.render(dead_bundle, "norm", preset=PLAIN.override(rescue=False), size=16)
    assert (plain.status == UnitStatus.DEAD).all()
    assert (plain.reasons == Reason.NO_GRADIENT).all()
    tried = jaxviz.render(dead_bundle, "norm", preset=PLAIN.override(rescue=True), size=16)
    rescued = tried.status == UnitStatus.RESCUED
    assert rescued.mean() > 0.8
    assert set(tried.reasons[rescued]) <= {Reason.LEAKY, Reason.ANOTHER_START}


def test_bounds_hold_for_every_image(bundle):
    model = jaxviz.Model(bundle)
    images = np.random.default_rng(0).choice([0.0, 1.0], (64, 16, 16, 3)).astype(np.float32)
    for layer in ("conv1/pre_activation", "conv1", "conv2/pre_activation", "norm"):
        low, high = channel_bounds(bundle.spec, bundle.weights, layer, (np.zeros(3), np.ones(3)))
        seen = np.asarray(model(images, taps=(layer,))[1][layer])
        assert (seen >= low - 1e-4).all()
        assert (seen <= high + 1e-4).all()
    # and they are not idle: the best image of one filter reaches its own bound
    kernel = bundle.weights["conv1"]["kernel"]
    best = np.tile((kernel[..., 3] > 0).astype(np.float32), (6, 6, 1))[None, :16, :16]
    low, high = channel_bounds(
        bundle.spec, bundle.weights, "conv1/pre_activation", (np.zeros(3), np.ones(3))
    )
    reached = np.asarray(model(best, taps=("conv1/pre_activation",))[1]["conv1/pre_activation"])
    np.testing.assert_allclose(reached[..., 3].max(), high[3], rtol=1e-5)


def test_a_converged_unit_makes_room_and_changes_nothing(bundle):
    preset = PLAIN.override(steps=48, stop=Stop(window=8, tolerance=0.05), rescue=False)
    together = jaxviz.render(bundle, "conv2", preset=preset, size=16, chunk=3)
    assert len(set(together.steps.tolist())) > 1  # not all at the same step
    assert (together.steps % 8 == 0).all()
    alone = jaxviz.render(bundle, "conv2", preset=preset, size=16, chunk=10)
    np.testing.assert_array_equal(together.steps, alone.steps)
    np.testing.assert_allclose(together.raw, alone.raw, rtol=1e-3, atol=1e-3)
    # it is the picture of a shorter ascent
    unit = int(np.argmin(together.steps))
    short = preset.override(steps=int(together.steps[unit]))
    short = short.model_copy(update={"stop": None})
    direct = jaxviz.render(bundle, "conv2", [unit], preset=short, size=16)
    np.testing.assert_allclose(direct.raw[0], together.raw[unit], rtol=1e-3, atol=1e-3)


def test_stopping_compiles_no_more(bundle):
    from jaxviz.engine.renderer import LayerRenderer

    preset = PLAIN.override(steps=16, stop=Stop(window=4, tolerance=0.05), rescue=False)
    renderer = LayerRenderer.for_layer(bundle, "conv2", preset, size=16, chunk=2)
    renderer.render(range(10), seed=0)
    assert renderer.programs.traces == {"start": 1, "step": 1, "evaluate": 1}


def test_the_best_iterate_is_kept(bundle):
    # steps so long that the ascent overshoots
    wild = PRESETS["keras-io"].change("optimizer.learning_rate=400", "objective.leak=0")
    last = jaxviz.render(bundle, "scores", preset=wild, size=16, steps=9)
    best = jaxviz.render(bundle, "scores", preset=wild.override(keep="best"), size=16, steps=9)
    assert (best.scores >= last.scores).all()


def test_the_best_of_several_starts(bundle):
    settings = {"preset": PLAIN.override(steps=4), "size": 16, "chunk": 10}
    one = jaxviz.render(bundle, "conv2", **settings)
    three = jaxviz.render(bundle, "conv2", attempts=3, measure=True, **settings)
    assert (three.scores >= one.scores).all()
    assert (three.scores > one.scores).any()
    assert (np.abs(three.measures["agreement"]) <= 1 + 1e-5).all()


def test_measures_against_numpy(bundle):
    result = jaxviz.render(bundle, "conv2", preset=PLAIN, size=16, measure=True)
    np.testing.assert_allclose(result.measures["gain"], result.scores - result.initial_scores)
    assert ((result.measures["quantile"] >= 0) & (result.measures["quantile"] <= 1)).all()
    from jaxviz.engine.metrics import reference_images
    from jaxviz.imaging.ranges import ValueRange

    model = jaxviz.Model(bundle)
    references = reference_images((16, 16, 3), ValueRange(0.0, 1.0, bundle.spec.range))
    means = lambda x: np.asarray(model(x, taps=("conv2",))[1]["conv2"]).mean(axis=(1, 2))  # noqa: E731
    base, found = means(references), means(result.raw)
    spread = np.maximum(base.std(0), 0.1 * base.std(0).mean() + 1e-6)
    standard = (found - base.mean(0)) / spread
    for unit in range(10):
        others = np.delete(standard[unit], unit)
        expected = (others < standard[unit, unit]).mean()
        np.testing.assert_allclose(result.measures["selectivity"][unit], expected, atol=0.12)
        share = (base[:, unit] < found[unit, unit]).mean()
        np.testing.assert_allclose(result.measures["quantile"][unit], share, atol=0.04)


def test_bounds_are_computed_once_for_all_pieces_of_a_layer(bundle, monkeypatch):
    computed = []
    real = renderer.unreachable
    monkeypatch.setattr(renderer, "unreachable", lambda *given: computed.append(1) or real(*given))
    shut = with_bias(bundle, "conv1", {1: -100.0, 2: -100.0})
    preset = PLAIN.override(steps=2)
    layer = renderer.LayerRenderer.for_layer(shut, "conv1", preset, size=16, chunk=2).settled(6)
    for piece in ((0, 1), (2, 3)):
        made = layer.render(piece, seed=0)
        assert Reason.UNREACHABLE in made.reasons
        layer = layer.with_execution(made.execution)
    assert len(computed) == 1
