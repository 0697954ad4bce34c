"""Devices: units spread over several, steps in one loop, and targets that are not there."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest

from jaxviz.atlas import open_atlas
from jaxviz.bundle import save
from jaxviz.engine.choose import notes
from jaxviz.engine.memory import with_fewer_units
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.engine.slots import Slots
from jaxviz.errors import ConfigError, MemoryLimitError
from jaxviz.jobs.recipe import AtlasRecipe
from jaxviz.jobs.run import make_atlas
from jaxviz.presets import get_preset
from jaxviz.runtime.devices import named_target, present_target
from jaxviz.runtime.execution import Execution
from jaxviz.runtime.keys import unit_keys
from tests.support.tiny import tiny_bundle

FOUR_DEVICES = """
import dataclasses, json, re
import numpy as np
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.presets import get_preset
from jaxviz.runtime.devices import present_target
from tests.support.tiny import tiny_bundle

target = present_target()
preset = get_preset("robust").override(steps=3, rescue=False)
def renderer(devices):
    used = dataclasses.replace(target, devices=target.devices[:devices])
    return LayerRenderer.for_layer(tiny_bundle(), "conv2", preset, size=16, chunk=6, target=used)
four, one = renderer(4), renderer(1)
many, few = four.render(range(10), 0), one.render(range(10), 0)
traces = dict(four.programs.traces)
text = four.lower(6).compile().as_text()
print(json.dumps({
    "devices": len(target.devices),
    "apart": float(np.abs(many.raw - few.raw).max()),
    "scores": float(np.abs(many.scores - few.scores).max()),
    "traces": traces,
    "exchanged": re.findall(r"(?:all-|collective-|reduce-scatter)[a-z-]*\\(", text),
}))
"""


def test_units_are_spread_over_devices_without_exchange():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    made = subprocess.run(
        [sys.executable, "-c", FOUR_DEVICES],
        env={**os.environ, **flags},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(made.stdout.splitlines()[-1])
    assert found["devices"] == 4
    assert found["apart"] < 1e-4
    assert found["scores"] < 1e-5
    assert found["exchanged"] == []
    # 10 units in chunks of 6, which 4 devices make 8
    assert found["traces"] == {"start": 1, "step": 1, "evaluate": 1}


@pytest.fixture
def looped():
    """The CPU, but with XLA's implementations and one loop over all steps, as on an accelerator."""
    return replace(present_target(), platform="gpu")


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_nothing_is_sent_while_steps_are_made(kind):
    target = replace(present_target(), platform=kind)
    preset = get_preset("robust").override(steps=4)
    renderer = LayerRenderer.for_layer(
        tiny_bundle(), "conv2", preset, size=16, chunk=3, target=target, dtype="float32"
    )
    program = renderer.programs.main
    channels = jax.device_put(np.arange(3, dtype=np.int32))
    state = program.start(renderer.programs.weights, unit_keys(0, "conv2", channels))
    state = program.advance(renderer.programs.weights, state, channels, 2)
    before = state.latent
    with jax.transfer_guard("disallow"):
        state = program.advance(renderer.programs.weights, state, channels, 2)
        jax.block_until_ready(state)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before))  # donated
    assert jax.device_get(state.step).tolist() == [4, 4, 4]
    assert renderer.programs.traces["step"] == 1


def test_a_loop_makes_the_same_steps(looped):
    preset = get_preset("keras-io").override(steps=3)
    one, other = (
        LayerRenderer.for_layer(
            tiny_bundle(), "conv1", preset, size=16, chunk=3, target=target, dtype="float32"
        ).render(range(3), 0)
        for target in (present_target(), looped)
    )
    np.testing.assert_allclose(one.raw, other.raw, atol=1e-4)


def test_chunks_are_shared_out_evenly():
    target = replace(present_target(), devices=(None,) * 4)
    assert [target.shared(n) for n in (1, 4, 6)] == [4, 4, 8]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("v9", "no target 'v9'"),
        ("h10", "mean h100"),
        ("v5e:q", "not a layout"),
        ("v5e:2y2", "layout"),
    ],
)
def test_unknown_targets_are_explained(name, said):
    with pytest.raises(ConfigError, match=said):
        named_target(name)


@pytest.mark.parametrize(("name", "extra"), [("v5e", "tpu"), ("h100", "cuda")])
def test_what_compiles_for_a_target_has_to_be_installed(name, extra, monkeypatch):
    monkeypatch.setattr("jaxviz.runtime.devices.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=rf"jaxviz-atlas\[{extra}\]"):
        named_target(name)


class FullMemoryError(jax.errors.JaxRuntimeError):
    """As XLA raises it."""


@pytest.fixture
def three_at_most(monkeypatch):
    """A device whose memory holds three units; the chunks that were tried."""
    tried = []
    real = Slots.run

    def run(self, *arguments, **told):
        tried.append(self.count)
        if self.count > 3:
            raise FullMemoryError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes.")
        return real(self, *arguments, **told)

    monkeypatch.setattr(Slots, "run", run)
    monkeypatch.setattr("jaxviz.engine.choose.lane_count", lambda platform: 1)
    return tried


def test_where_memory_runs_out_half_as_many_units_go_on(three_at_most):
    preset = get_preset("keras-io").override(steps=2)
    renderer = LayerRenderer.for_layer(tiny_bundle(), "conv1", preset, size=16, chunk=6)
    made = renderer.render(range(6), 0)
    after = renderer.with_execution(made.execution)
    after.render(range(3), 0)
    assert three_at_most == [6, 3, 3]
    assert made.execution.chunk == 3
    assert made.execution.did_not_fit == (6,)
    assert "continuing with 3" in notes("conv1", renderer.execution, made.execution)[0]
    assert after.programs is renderer.programs
    assert renderer.programs.traces == {"start": 1, "step": 1, "evaluate": 1}
    enough = LayerRenderer.for_layer(tiny_bundle(), "conv1", preset, size=16, chunk=3)
    np.testing.assert_array_equal(made.raw, enough.render(range(6), 0).raw)


def test_a_run_that_ran_out_of_memory_is_continued_with_what_fitted(three_at_most, tmp_path):
    saved = tmp_path / "tiny.bundle"
    save(tiny_bundle(), saved)
    recipe = AtlasRecipe(
        model=str(saved), output=str(tmp_path / "a.atlas"), layers=("conv1",), preset="keras-io",
        size=16, steps=1, chunk=6, range="0:1",
    )  # fmt: skip
    make_atlas(recipe)
    (layer,) = open_atlas(tmp_path / "a.atlas").manifest.layers
    assert layer.plan.compute.chunk == 3
    assert layer.plan.compute.did_not_fit == (6,)


def test_a_unit_that_does_not_fit_at_all_is_an_error():
    def run(chunk):
        raise FullMemoryError("RESOURCE_EXHAUSTED: Out of memory")

    tried = []
    with pytest.raises(MemoryLimitError, match="--size"):
        with_fewer_units(lambda chunk: tried.append(chunk) or run(chunk), 5, "conv1")
    assert tried == [5, 3, 2, 1]


def test_other_errors_of_a_device_are_not_hidden():
    def run(chunk):
        raise FullMemoryError("INTERNAL: something else")

    with pytest.raises(FullMemoryError):
        with_fewer_units(run, 5, "conv1")


def test_the_chunk_follows_the_devices_memory(looped):
    def chunk(memory, devices=1):
        target = replace(looped, memory=memory, devices=(None,) * devices)
        preset = get_preset("robust")
        renderer = LayerRenderer.for_layer(tiny_bundle(), "conv2", preset, size=64, target=target)
        return renderer.execution.chunk

    assert chunk(None) == 10  # all of the layer's units
    few = chunk(6_000_000)
    assert 1 <= few < 10
    assert chunk(6_000_000, devices=2) == min(10, 2 * few)
    assert chunk(1) == 1


def test_bfloat16_that_is_too_far_from_float32_is_not_used(monkeypatch):
    monkeypatch.setattr("jaxviz.runtime.execution.LEAST_COSINE", 1.1)
    preset = get_preset("keras-io").override(steps=1)
    one, other = (
        LayerRenderer.for_layer(tiny_bundle(), "conv2", preset, size=16, chunk=2, dtype=dtype)
        for dtype in ("bfloat16", "float32")
    )
    made = one.render(range(2), 0)
    np.testing.assert_array_equal(made.raw, other.render(range(2), 0).raw)
    assert made.execution.dtype == "float32"
    assert made.execution.fidelity is not None
    assert 0.9 < made.execution.fidelity.cosine < 1
    assert "in float32" in notes("conv2", one.execution, made.execution)[0]
    kept = Execution.model_validate_json(json.dumps(made.execution.as_json()))
    assert kept == made.execution
    assert one.with_execution(kept).render(range(2), 0).execution == kept
