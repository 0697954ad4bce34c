"""`jaxviz plan`: what an atlas will cost, without making it."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest
from click.testing import CliRunner

from jaxviz.bundle import save
from jaxviz.cli import cli
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.errors import MemoryLimitError
from jaxviz.jobs.estimate import compiled_step, moving_share, plan_atlas
from jaxviz.jobs.recipe import AtlasRecipe
from jaxviz.presets import get_preset
from jaxviz.runtime.devices import CHIPS, present_target
from jaxviz.runtime.hlo import (
    accessed_bytes,
    collectives,
    full_cost,
    kernels,
    library_calls,
    memory_bytes,
    moved_bytes,
    own_convolutions,
    traffic,
)
from jaxviz.transforms import Scale
from tests.support.tiny import tiny_bundle


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("plan") / "tiny.bundle"
    save(tiny_bundle(), path)
    return str(path)


def recipe(saved, **settings):
    chosen = {"preset": "keras-io", "size": 24, "steps": 3, "range": "0:1", **settings}
    return AtlasRecipe(model=saved, output="never.atlas", **chosen)


def renderer(memory=None, chunk=8, layer="conv2"):
    target = replace(present_target(), memory=memory, chip=CHIPS["v5e"], present=True)
    preset = get_preset("keras-io").override(steps=3)
    return LayerRenderer.for_layer(
        tiny_bundle(), layer, preset, size=24, chunk=chunk, target=target
    )


def test_layers_that_take_longest_are_timed_and_the_rest_judged_by_them(saved):
    plan = plan_atlas(recipe(saved, attempts=2), budget=0)
    rows = {layer.layer: layer for layer in plan.layers}
    assert {name: row.basis for name, row in rows.items()} == {
        "conv1": "estimated",
        "conv2": "measured",
    }
    one, two = rows["conv1"], rows["conv2"]
    assert one.seconds / one.flops == pytest.approx(two.seconds / two.flops)
    assert (two.pictures, two.steps, two.size, two.dtype) == (10, 6, (24, 24), "float32")
    made = -(-10 // two.chunk) * two.chunk
    assert two.hours == pytest.approx(made * 6 * two.seconds / 3600)
    assert plan.hours == pytest.approx(one.hours + two.hours)
    shown = 24 - 2 * round(24 * 25 / 180)
    assert plan.disk == pytest.approx(2.5 * 16 * shown * shown * 3, rel=0.3)


def test_the_chunk_is_halved_until_the_compiled_step_fits():
    every = compiled_step(renderer())
    assert every.chunk == 8
    fitting = compiled_step(renderer(memory=int(every.memory * 0.7)))
    assert fitting.chunk in (2, 4)
    assert fitting.memory < 0.8 * every.memory * 0.7
    with pytest.raises(MemoryLimitError, match="not even one unit"):
        compiled_step(renderer(memory=1000))


def test_a_compiled_step_needs_at_least_what_is_needed():
    step, one = compiled_step(renderer()), renderer()
    assert step.flops > 0.5 * one.setup.step_flops  # Winograd's algorithm may save some
    assert step.moved > 4 * 24 * 24 * 3


def test_each_branch_counts_for_the_steps_that_take_it():
    def cost(transforms, fade):
        target = replace(present_target(), chip=CHIPS["v5e"])
        preset = get_preset("robust").override(steps=10, rescue=False, transforms=transforms(fade))
        preset = preset.model_copy(update={"texture": None})
        assert moving_share(preset) == (fade if transforms(fade) else 1.0)
        one = LayerRenderer.for_layer(
            tiny_bundle(), "conv2", preset, size=24, chunk=4, target=target
        )
        return compiled_step(one)

    def scaled(fade):
        return (Scale(factors=(0.9, 1.1), between=True, outside="wrap", fade=fade),)

    none, some, more = (cost(*how) for how in ((lambda _: (), 0.25), (scaled, 0.25), (scaled, 0.5)))
    assert none.flops < some.flops < more.flops
    # linear in the share, and nothing of a faded transform but the branch that is not there
    assert more.flops - none.flops == pytest.approx(2 * (some.flops - none.flops), rel=0.02)
    assert more.moved - none.moved == pytest.approx(2 * (some.moved - none.moved), rel=0.1)


def test_bytes_are_counted_as_the_compiler_counts_them():
    def steps(x, kernel, count):
        def step(_, x):
            y = jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            return jnp.tanh(y) + x

        return jax.lax.fori_loop(0, count, step, x)

    lowered = jax.jit(steps).lower(jnp.ones((4, 16, 16, 8)), jnp.ones((3, 3, 8, 8)), 3)
    program = lowered.compile()
    found = moved_bytes(program.as_text())
    assert found == pytest.approx(program.cost_analysis()["bytes accessed"], rel=0.35)


def test_the_command_prints_a_table_or_json(saved):
    asked = ["plan", saved, "--preset", "keras-io", "--size", "24", "--steps", "2",
             "--layers", "conv1", "--budget", "0", "--range", "0:1"]  # fmt: skip
    found = CliRunner().invoke(cli, asked)
    assert found.exit_code == 0, found.output
    assert "conv1" in found.stdout
    assert "6 pictures on cpu in float32" in found.stdout
    found = CliRunner().invoke(cli, [*asked, "--json"])
    document = json.loads(found.stdout)
    assert document["layers"][0]["basis"] == "measured"
    assert document["hours"] > 0


PROGRAM = """HloModule jit_step

%fused (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  ROOT %c = f32[8]{0} convolution(%p, %p), dim_labels=f_0
}

%body (state: (f32[8], s32[])) -> (f32[8], s32[]) {
  %state = (f32[8]{0}, s32[]) parameter(0)
  %x = f32[8]{0} get-tuple-element(%state), index=0
  %y = (f32[8]{0}, u8[4]{0}) custom-call(%x), custom_call_target="__cudnn$convForward"
  %z = f32[8]{0} get-tuple-element(%y), index=0
  %w = f32[8]{0} fusion(%z), kind=kLoop, calls=%fused
  ROOT %r = (f32[8]{0}, s32[]) tuple(%w, %x)
}

ENTRY %main (a: f32[8]) -> f32[8] {
  %a = f32[8]{0} parameter(0)
  %s = f32[8]{0} all-reduce(%a), to_apply=%sum
  %l = (f32[8]{0}, s32[]) while(%s), condition=%test, body=%body
  ROOT %o = f32[8]{0} get-tuple-element(%l), index=0
}
"""


def test_what_a_program_runs_is_read_from_its_text():
    assert library_calls(PROGRAM) == {"__cudnn$convForward": 1}
    assert kernels(PROGRAM) == 2  # the fusion and the exchange
    assert own_convolutions(PROGRAM) == 1
    assert collectives(PROGRAM) == 1
    # exchange 32 + 32, call 36 + 32, fusion 32 + 32
    assert moved_bytes(PROGRAM) == 196


def test_a_loop_moves_its_slices_as_often_as_it_runs():
    x = jnp.ones((50, 1024))
    program = jax.jit(lambda x: jax.lax.map(jnp.sin, x)).lower(x).compile()
    assert program.cost_analysis()["bytes accessed"] < 2 * x.nbytes
    assert full_cost(program) is None
    # read and written piece by piece; the result is filled with zeros first
    assert accessed_bytes(program) == pytest.approx(3 * x.nbytes, rel=0.02)


TPU_PROGRAM = """ENTRY %main (a: bf16[16,3]) -> bf16[16,3] {
  %a = bf16[16,3]{1,0:T(8,128)(2,1)} parameter(0)
  %copy-start = (bf16[16,3]{1,0:T(8,128)(2,1)S(1)}, bf16[16,3]{1,0:T(8,128)(2,1)}, u32[]{:S(2)}) copy-start(%a)
  %copy-done = bf16[16,3]{1,0:T(8,128)(2,1)S(1)} copy-done(%copy-start)
  %slice-start = ((bf16[16,3]{1,0:T(8,128)(2,1)}), bf16[8,3]{1,0:T(8,128)(2,1)S(1)}, s32[]{:S(2)}) slice-start(%a), slice={[0:8], [0:3]}
  %slice-done = bf16[8,3]{1,0:T(8,128)(2,1)S(1)} slice-done(%slice-start)
  %whole = bf16[16,3]{1,0:T(8,128)(2,1)S(1)} custom-call(%slice-done, %slice-done), custom_call_target="ConcatBitcast"
  ROOT %sum = bf16[16,3]{1,0:T(8,128)(2,1)} add(%copy-done, %whole)
}
"""  # noqa: E501


def test_what_a_tpu_copies_to_its_own_memory_is_counted_apart():
    half, whole = 8 * 128 * 2, 16 * 128 * 2  # padded to 128 lanes
    found = {
        one.instruction.name: (one.copies, one.counted, one.outside) for one in traffic(TPU_PROGRAM)
    }
    assert found == {
        "copy-start": (True, 4 * whole, whole),
        "slice-start": (True, half, half),
        "whole": (True, 2 * half + whole, 0),
        "sum": (False, 3 * whole, whole),
    }
    assert memory_bytes(TPU_PROGRAM) == 2 * whole + half
