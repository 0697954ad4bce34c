"""Every preset: a contract for all, and its update against an independent implementation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxviz
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.errors import ConfigError
from jaxviz.presets import DEFAULT_PRESET, PRESETS, get_preset
from jaxviz.runtime.keys import unit_keys
from jaxviz.spec import InputRange
from tests.support.presets import settled
from tests.support.tiny import tiny_bundle

SIZE, STEPS, CHANNEL = 13, 4, 2
RANGE = InputRange(low=(-1.0,), high=(1.0,))
#: Presets whose first steps are written out again below.
REWRITTEN = (
    "robust", "keras-io", "article", "distill", "lucid", "lucent", "captum", "tf-keras-vis",
    "keras-vis", "xplique", "maco", "horama", "dreamlens",
)  # fmt: skip


@pytest.fixture(scope="module")
def bundle():
    return tiny_bundle(range_=RANGE)


# --- Independent implementations: plain formulas for one picture, without jaxviz. ---


def activation(bundle, unit_image):
    """Channel 2 of conv1, for an image in [0, 1]; the network's range is [−1, 1]."""
    weights = bundle.weights["conv1"]
    x = jnp.pad(2 * unit_image - 1, ((1, 1), (1, 1), (0, 0)))
    height, width = unit_image.shape[:2]
    total = weights["bias"][CHANNEL]
    for row in range(3):
        for column in range(3):
            window = x[row : row + height, column : column + width]
            total = total + window @ weights["kernel"][row, column, :, CHANNEL]
    return jnp.maximum(total, 0)


def lucid_colours(x, temper=1.0):
    root = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
    lengths = np.linalg.norm(root, axis=0)
    return x @ (root / lengths * (lengths / lengths.max()) ** temper).T


def fourier_image(latent, decay, gain=0.25, coarsest=SIZE):
    frequency = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE))
    scale = SIZE / np.maximum(frequency, 1 / coarsest) ** decay * (SIZE / coarsest) ** (decay / 2)
    spectrum = (latent[0] + 1j * latent[1]) * scale
    return jnp.moveaxis(jnp.fft.irfft2(spectrum, s=(SIZE, SIZE)), 0, -1) * gain


def standard(x):
    return (x - x.mean()) / jnp.sqrt(((x - x.mean()) ** 2).mean())


def to_unit(name, latent):
    """The picture in [0, 1] that a preset makes of its latent."""
    if name in ("keras-io", "article"):
        return (latent + 1) / 2
    if name in ("tf-keras-vis", "keras-vis"):
        return latent / 255
    if name == "xplique":
        image = jax.nn.sigmoid(lucid_colours(fourier_image(latent, 0.85)))
        return (image - image.min()) / (image - image.min()).max()
    if name == "maco":
        phase = standard(latent)
        frequency = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE))
        magnitude = 1 / np.maximum(frequency, 1 / SIZE)
        image = jnp.fft.irfft2(magnitude * jnp.exp(1j * phase), s=(SIZE, SIZE))
        return jax.nn.sigmoid(lucid_colours(jnp.moveaxis(standard(image), 0, -1)))
    if name == "horama":
        image = standard(fourier_image(standard(latent), 1.5))
        return jax.nn.sigmoid(lucid_colours(image))
    if name == "robust":  # conv1 sees 3 pixels; the least receptive field counted is 12
        return jax.nn.sigmoid(lucid_colours(fourier_image(latent, 0.75, coarsest=12), 0.75))
    return jax.nn.sigmoid(lucid_colours(fourier_image(latent, 1.0)))


def penalty(name, x):
    down, right = x[1:] - x[:-1], x[:, 1:] - x[:, :-1]
    if name == "tf-keras-vis":
        variation = (jnp.abs(down).sum() + jnp.abs(right).sum()) / x.size
        return variation + 0.3 * jnp.abs(x).mean()
    if name == "keras-vis":
        norm = (jnp.abs(x / 255) ** 6).sum() ** (1 / 6) * 255 / x.size
        variation = (down[:, :-1] ** 2 + right[:-1] ** 2).sum() / x.size
        return 10 * norm + 10 * variation
    return 0.0


def value(name, bundle, latent, step):
    trim = {"keras-io": 2, "article": 1, "robust": int(step == 1)}.get(name, 0)
    inner = slice(trim, SIZE - trim)
    score = activation(bundle, to_unit(name, latent))[inner, inner].mean()
    if name == "robust":  # a tenth of the pre-activation
        score = 0.9 * score + 0.1 * before(bundle, to_unit(name, latent))[inner, inner].mean()
    return score - penalty(name, latent)


def before(bundle, unit_image):
    shifted = {**bundle.weights["conv1"], "bias": bundle.weights["conv1"]["bias"] + 1e3}

    class Raised:
        weights = {"conv1": shifted}

    return activation(Raised, unit_image) - 1e3


def adam(gradient, memory, step, rate, nesterov=False):
    first, second = memory or (0.0, 0.0)
    first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
    ahead = first
    ahead = ahead / (1 - 0.9**step)
    if nesterov:
        ahead = 0.9 * first / (1 - 0.9 ** (step + 1)) + 0.1 * gradient / (1 - 0.9**step)
    return rate * ahead / (np.sqrt(second / (1 - 0.999**step)) + 1e-8), (first, second)


def rmsprop(gradient, memory, rate, decay):
    memory = decay * (0.0 if memory is None else memory) + (1 - decay) * gradient**2
    return rate * gradient / np.sqrt(memory + 1e-7), memory


def update(name, gradient, memory, step):
    if name in ("keras-io", "article"):
        return 10 * gradient / np.sqrt(max((gradient**2).sum(), 1e-12)), None
    if name == "tf-keras-vis":
        return rmsprop(gradient, memory, 1.0, 0.999)
    if name == "keras-vis":
        return rmsprop(gradient / np.sqrt((gradient**2).mean()), memory, 1.0, 0.95)
    if name == "robust":
        rate = 1.5 * 0.12 * np.sqrt((1 + np.cos(np.pi * (step - 1) / STEPS)) / 2)
        return rate * gradient / np.sqrt((gradient**2).mean()), None
    rate = {"captum": 0.025}.get(name, 0.05)
    if name in ("maco", "horama"):
        return adam(gradient, memory, step, 1.0, nesterov=True)
    return adam(gradient, memory, step, rate)


@pytest.mark.parametrize("name", REWRITTEN)
def test_the_update_against_an_independent_one(bundle, name):
    """The latents agree step by step, without random transforms, which have tests of their own."""
    preset = PRESETS[name].override(steps=STEPS, transforms=(), draws=1, redirect=0, keep="last")
    renderer = LayerRenderer.for_layer(bundle, "conv1", preset, size=SIZE, chunk=1)
    keys = unit_keys(0, "conv1", jnp.array([CHANNEL]))
    program, channels = renderer.programs.main, jnp.array([CHANNEL])
    state = program.start(renderer.programs.weights, keys)
    memory = None
    ascend = jax.jit(
        jax.grad(lambda latent, step: value(name, bundle, latent, step)), static_argnums=1
    )
    for step in range(1, STEPS + 1):
        latent = np.asarray(state.latent[0], np.float64)
        change, memory = update(name, np.asarray(ascend(latent, step), np.float64), memory, step)
        state = program.advance(renderer.programs.weights, state, channels, 1)
        found = np.asarray(state.latent[0], np.float64) - latent
        cosine = (found * change).sum() / np.linalg.norm(found) / np.linalg.norm(change)
        assert cosine > 0.9999, (step, cosine)
        assert abs(np.linalg.norm(found) / np.linalg.norm(change) - 1) < 1e-3, step
    view = program.evaluate(renderer.programs.weights, state, channels)
    raw = 2 * to_unit(name, np.asarray(state.latent[0])) - 1
    np.testing.assert_allclose(view.raw[0], raw, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("name", PRESETS)
def test_the_score_rises_and_the_same_key_gives_the_same(bundle, name):
    small = tuple(
        t.model_copy(update={"pixels": 24}) if t.kind == "box" else t
        for t in PRESETS[name].transforms
    )
    preset = PRESETS[name].override(
        rescue=False, transforms=small, draws=min(2, PRESETS[name].draws)
    )
    settings = {"preset": preset, "size": 40, "steps": 6, "chunk": 2}
    result = jaxviz.render(bundle, "conv2", [1, 4, 7], **settings)
    assert np.isfinite(result.raw).all()
    assert ((result.images >= 0) & (result.images <= 1)).all()
    live = result.status == 1
    assert live.any()
    if name not in ("tf-keras-vis", "keras-vis"):  # the first steps of these smooth the noise
        assert (result.scores > result.initial_scores)[live].mean() > 0.6
    if name == "maco":
        # Whole-radian steps follow the sign of gradients that are zero up to rounding.
        settings["preset"] = settled(preset)
        result = jaxviz.render(bundle, "conv2", [1, 4, 7], **settings)
    other = jaxviz.render(bundle, "conv2", [7], **{**settings, "chunk": 1})
    np.testing.assert_allclose(other.raw[0], result.raw[2], rtol=2e-3, atol=2e-3)


def test_a_maco_step_depends_on_rounding_only_where_the_gradient_is_rounding():
    """One step is the same alone and in a chunk, where the gradient exceeds rounding."""
    bundle, preset = tiny_bundle(range_=RANGE), PRESETS["maco"].override(steps=2, draws=2)
    preset = preset.change("transforms.0.pixels=24")
    found = {}
    for chunk in (1, 3):
        renderer = LayerRenderer.for_layer(bundle, "conv2", preset, size=40, chunk=chunk)
        channels = jnp.array([7, 1, 4][:chunk])
        program, params = renderer.programs.main, renderer.programs.weights
        start = program.start(params, unit_keys(0, "conv2", channels))
        plain = LayerRenderer.for_layer(
            bundle, "conv2", settled(preset), size=40, chunk=chunk
        ).programs.main
        gradient = plain.advance(
            params, plain.start(params, jax.random.key_data(start.key)), channels, 1
        ).latent[0]
        begin = np.asarray(start.latent[0])
        step = np.asarray(program.advance(params, start, channels, 1).latent[0]) - begin
        found[chunk] = step, np.asarray(gradient) - begin
    (one, gradient), (other, same) = found[1], found[3]
    np.testing.assert_allclose(gradient, same, rtol=0, atol=1e-3 * np.abs(same).max())
    real = np.abs(gradient) > 1e-3 * np.abs(gradient).max()
    np.testing.assert_allclose(one[real], other[real], rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("channels", [1, 5])
def test_the_default_for_other_numbers_of_channels(channels):
    bundle = tiny_bundle(channels=channels, range_=RANGE)
    result = jaxviz.render(bundle, "conv2", [0, 1], size=16, steps=8, measure=True)
    assert result.raw.shape == (2, 16, 16, channels)
    assert (result.scores > result.initial_scores).all()
    assert result.images.std(axis=(1, 2, 3)).min() > 0.02  # not grey


def test_presets_are_data():
    for name, preset in PRESETS.items():
        assert preset.name == name
        assert preset.about
        assert preset.source
        assert type(preset).model_validate_json(preset.model_dump_json()) == preset
    assert DEFAULT_PRESET in PRESETS


def test_single_fields_can_be_changed():
    preset = PRESETS["lucid"].change(
        "transforms.0.amount=4", "parameterization.decay=1.2", "display.method=standardise"
    )
    assert preset.transforms[0].amount == 4
    assert preset.parameterization.decay == 1.2
    assert preset.display.method == "standardise"
    assert PRESETS["lucid"].transforms[0].amount == 12
    for line in preset.fields_text().splitlines():
        assert preset.change(line.strip()) == preset


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("transforms.0.amont=4", r"no field 'transforms.0.amont'[\s\S]*amount"),
        ("transforms.9.amount=4", r"no field[\s\S]*0, 1, 2"),
        ("step=4", r"no field 'step'[\s\S]*steps"),
        ("steps", r"not an assignment"),
        ("steps=0", r"steps: .*greater than 0"),
        ("parameterization.squash=clamp", r"squash"),
        ("units=[0, 255]", r"between 0 and 1"),
        ("keep_transformed=true", r"only the pixels"),
        ('transforms=[{"kind": "jiter", "amount": 3}]', r"jitter"),
    ],
)
def test_changes_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        PRESETS["lucid"].change(change)


def test_textures_have_a_short_search_and_long_steps():
    """A third of the search, no scales and steps 1.5 times as long, as the preset says."""
    preset = PRESETS["robust"]
    shallow, deep = preset.at(128, 64), preset.at(128, 65)
    assert [t.kind for t in shallow.transforms] == ["jitter"]
    assert shallow.transforms[0].fade == pytest.approx(0.1)
    assert shallow.objective.trim_until == pytest.approx(0.1)
    assert shallow.optimizer.learning_rate == pytest.approx(0.18)
    assert [t.kind for t in deep.transforms] == ["jitter", "scale"]
    assert deep.objective == preset.objective
    assert deep.optimizer == preset.optimizer
    plain = preset.change("texture=null").at(128, 7)
    assert plain.transforms[1:] == preset.transforms[1:]
    assert plain.optimizer == preset.optimizer


def test_unknown_presets_are_offered():
    with pytest.raises(ConfigError, match="Did you mean lucid"):
        get_preset("lucd")


def test_amounts_follow_the_size():
    preset = PRESETS["xplique"].at(128)
    assert [t.amount for t in preset.transforms if hasattr(t, "amount")] == [
        32, 16, 16, 32, 32, 32, 8, 8,
    ]  # fmt: skip
    assert PRESETS["lucid"].at(64) == PRESETS["lucid"]
    roaming = PRESETS["robust"]
    assert [roaming.at(128, field).transforms[0].amount for field in (7, 100, 300, None)] == [
        64, 28, 16, 16,
    ]  # fmt: skip
