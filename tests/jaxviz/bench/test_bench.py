"""The benchmark measures an atlas' programs, counts necessary operations, and compares fairly."""

import dataclasses
import json
import re

import numpy as np
import pytest

import jaxviz
from jaxviz.api import render
from jaxviz.bench.document import BenchResult, Device, Row, read_result
from jaxviz.bench.measure import Settings, bench, measure
from jaxviz.bench.show import compare
from jaxviz.bench.stepper import Stepper, responded
from jaxviz.bundle import store as bundles
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.errors import ConfigError
from jaxviz.presets import get_preset
from jaxviz.presets.stop import Stop
from jaxviz.spec import Source
from jaxviz.status import UnitStatus
from tests.support.tiny import tiny_bundle

PRESET = get_preset("keras-io")
DEVICE = Device(
    platform="cpu", kind="cpu", count=1, threads=1, product_rate={"float32": 1e9}, memory_rate=1e9
)


def result(*rows, **fields):
    given = {
        "time": "2026-01-01T00:00:00Z", "model": "tiny", "sha256": "0" * 64, "source": Source(),
        "preset": "keras-io", "software": {"jax": "1"}, "device": DEVICE,
    }  # fmt: skip
    return BenchResult(**{**given, **fields}, rows=rows)


def row(layer="conv1", rate=10.0, **fields):
    given = {"units": 6, "size": (16, 16, 3), "chunk": 2, "filter_steps_per_second": rate}
    return Row(layer=layer, **{**given, **fields})


def with_dead(channel):
    bundle = tiny_bundle()
    weights = {layer: dict(arrays) for layer, arrays in bundle.weights.items()}
    bias = weights["conv2"]["bias"].copy()
    bias[channel] = -1e6
    weights["conv2"]["bias"] = bias
    return dataclasses.replace(bundle, weights=weights)


def test_the_stepper_makes_the_pictures_of_a_render():
    stepper = Stepper(tiny_bundle(), "conv2", PRESET, size=16, chunk=2)
    channels = np.arange(stepper.units)
    states = stepper.advance(stepper.start(channels), channels, 2)
    states = stepper.advance(states, channels, 3)
    rendered = LayerRenderer.for_layer(
        tiny_bundle(), "conv2", PRESET.override(steps=5), size=16, chunk=2
    )
    expected = rendered.render(channels, seed=0).raw
    np.testing.assert_allclose(stepper.images(states, channels), expected, rtol=1e-5, atol=1e-5)


def test_units_never_stop():
    preset = PRESET.override(steps=1, stop=Stop(window=1, tolerance=100))
    stepper = Stepper(tiny_bundle(), "conv2", preset, size=16, chunk=1)
    channels = np.zeros(stepper.units, int)
    states = stepper.advance(stepper.start(channels), channels, 4)
    assert [int(state.step[0]) for state in states] == [4] * stepper.lanes
    assert not any(bool(state.converged[0]) for state in states)


def test_dead_units_are_not_stepped():
    stepper = Stepper(with_dead(3), "conv2", PRESET, size=16, chunk=2)
    found, tried = stepper.live_channels(10, 10)
    rendered = render(with_dead(3), "conv2", preset=PRESET, size=16, steps=1)
    assert tried == 10
    assert found == np.flatnonzero(rendered.status == UnitStatus.DONE).tolist()
    assert 3 not in found
    assert len(found) > 3
    dead = np.full(stepper.units, 3)
    assert not responded(stepper.advance(stepper.start(dead), dead, 1)).any()


def test_a_layer_without_live_units_has_no_rate():
    bundle = with_dead(slice(None))
    found = measure(bundle, "conv2", Settings(PRESET, 16), "float32", 2, DEVICE, 0.01)
    assert (found.live, found.tried, found.filter_steps_per_second) == (0, 10, None)
    assert found.step_seconds > 0


def test_numbers_are_consistent():
    settings = Settings(PRESET, 16, chunks=(1, 2), seconds=0.05)
    seen = []
    found = bench(tiny_bundle(), ["conv1", "conv2"], settings, seen.append)
    assert [(r.layer, r.chunk) for r in found.rows] == [
        ("conv1", 1), ("conv1", 2), ("conv2", 1), ("conv2", 2)
    ]  # fmt: skip
    assert tuple(seen) == found.rows
    for one in found.rows:
        stepped = one.chunk * one.lanes
        assert one.filter_steps_per_second == pytest.approx(stepped / one.step_seconds)
        assert one.spread[0] <= one.step_seconds <= one.spread[1]
        rate = one.gflop * 1e9 * one.filter_steps_per_second
        assert one.of_products == pytest.approx(rate / found.device.product_rate["float32"])
        # All of conv1 and one channel of conv2: positions times window, without the padding.
        whole = 2 * (3 * 16 - 2) ** 2 * 3 * 6
        alone = 2 * (3 * 8 - 2) ** 2 * 6
        needed = 2 * (whole + alone) if one.layer == "conv2" else 2 * whole / 6
        assert one.gflop * 1e9 == pytest.approx(needed)
        assert one.peak_megabytes > 0
        assert one.megabytes > 0


def test_only_computed_operations_are_counted(monkeypatch):
    monkeypatch.setenv("JAXVIZ_LOWERINGS", "reference")
    stepper = Stepper(tiny_bundle(), "conv2", PRESET, size=16, chunk=2)
    channels = np.zeros(stepper.units, int)
    program = stepper.compiled(stepper.start(channels), channels)
    found = measure(tiny_bundle(), "conv2", Settings(PRESET, 16), "float32", 2, DEVICE, 0.01)
    counted = program.cost_analysis()["flops"] / 2
    assert found.gflop * 1e9 <= counted <= 1.5 * found.gflop * 1e9


def test_a_result_survives_a_round_trip(tmp_path):
    written = result(row(), row("conv2", None, problem="RESOURCE_EXHAUSTED"))
    path = tmp_path / "a.json"
    path.write_text(written.model_dump_json())
    assert read_result(path) == written
    assert json.loads(path.read_text())["schema_version"] == 1


def test_totals_take_each_layer_at_its_fastest():
    found = result(
        row(rate=10.0, units=6, compile_seconds=1.0),
        row(rate=30.0, units=6, compile_seconds=2.0, chunk=4),
        row("conv2", 5.0, units=10, compile_seconds=3.0),
        row("conv3", None, units=100),
    ).totals
    assert [(t.layers, t.units, t.compile_seconds) for t in found] == [(2, 16, 5.0)]
    assert found[0].filter_steps_per_second == pytest.approx(16 / (6 / 30 + 10 / 5))


def test_comparison():
    a = result(row(rate=10.0), row("conv2", 4.0), row("conv3", 1.0))
    device = DEVICE.model_copy(update={"kind": "other"})
    b = result(row(rate=20.0), row("conv2", 2.0), row("conv3", 1.0, chunk=8), device=device)
    pairs, notes = compare(a, b)
    assert [(one.layer, ratio) for one, _, ratio in pairs] == [("conv1", 2.0), ("conv2", 0.5)]
    assert notes == [
        "2 rows are in only one of the results",
        "device: cpu in the first result, other in the second",
    ]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (result(row(), preset="robust"), "'keras-io' in the first result, 'robust' in the second"),
        (result(row(), sha256="1" * 64), "model: .*0{12}.*1{12}"),
        (result(row("conv9")), "share no measured combination"),
    ],
)
def test_results_of_other_conditions_are_not_compared(other, message):
    with pytest.raises(ConfigError, match=message):
        compare(result(row()), other)


@pytest.fixture
def model(tmp_path):
    return bundles.save(tiny_bundle(), tmp_path / "tiny.bundle")


def test_command(run, model, tmp_path):
    fast = ("--preset", "keras-io", "--size", 16, "--seconds", 0.05, "--layers", "conv2")
    written, drawn = tmp_path / "a.json", tmp_path / "a.png"
    code, out, _ = run("bench", model, *fast, "--json", written, "--plot", drawn)
    assert code == 0
    assert re.search(r"conv2 +10 +16", out)
    assert "1 layers of 10 filters in float32" in out
    assert drawn.read_bytes().startswith(b"\x89PNG")
    code, out, _ = run("bench", "--compare", written, written)
    assert code == 0
    assert "geometric mean B/A: 1.000 over 1 rows" in out
    code, out, _ = run("bench", "--compare", written, written, "--json", "-")
    assert json.loads(out)["geometric_mean"] == pytest.approx(1)


def test_json_alone_on_standard_output(run, model):
    fast = ("--preset", "keras-io", "--size", 16, "--seconds", 0.05, "--layers", "conv1")
    code, out, _ = run("bench", model, *fast, "--chunks", "1,2", "--json", "-")
    assert code == 0
    assert [r.chunk for r in BenchResult.model_validate_json(out).rows] == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Missing argument 'MODEL'"),
        (["nowhere.keras"], 1, "there is no file"),
        (["{model}", "--chunks", "4,x"], 2, "'x' is neither a number above 0 nor auto"),
        (["{model}", "--dtypes", "float16"], 2, "no dtype 'float16'. Did you mean bfloat16"),
        (["{model}", "--layers", "cnv2"], 1, "Did you mean conv2"),
        (["{model}", "--preset", "kras-io"], 1, "no preset 'kras-io'"),
        (["{model}", "--seconds", "0"], 2, "--seconds"),
        (["{model}", "--plot", "a.jpeg"], 2, "does not end in"),
        (["{model}", "--json", "/nowhere/a.json"], 1, "there is no such folder"),
        (["{model}", "--compare", "a", "b"], 2, "no MODEL"),
        (["--compare", "{text}", "{text}"], 1, "is not a result of `jaxviz bench`"),
        (["--compare", "nowhere.json", "{text}"], 1, "cannot read 'nowhere.json'"),
    ],
)
def test_mistakes(run, model, tmp_path, arguments, code, message):
    text = tmp_path / "text"
    text.write_text("{}")
    found, out, err = run("bench", *(a.format(model=model, text=text) for a in arguments))
    assert (found, out) == (code, ""), err
    assert re.search(message, err), err


def test_the_bundled_example_has_live_units():
    loaded = jaxviz.load_bundle(jaxviz.example("galaxy_cnn.keras"))
    stepper = Stepper(loaded, "conv1", PRESET, size=16, chunk=4)
    assert stepper.live_channels(1, 8)[0]
