"""What a program's compile is worth changes its rounding at most, and is remembered."""

import jax
import numpy as np
import pytest

from jaxviz.engine.renderer import LayerRenderer
from jaxviz.presets import get_preset
from jaxviz.runtime import xla_options as compiler
from jaxviz.runtime.devices import named_target
from jaxviz.spec import InputRange
from tests.support.tiny import tiny_bundle

RANGE = InputRange(low=(0.0,), high=(1.0,))


def renderer(effort=None):
    preset = get_preset("keras-io").override(steps=3)
    made = LayerRenderer(tiny_bundle(range_=RANGE), "conv2", preset, size=24, chunk=2)
    made.effort = effort
    return made


@pytest.mark.parametrize("effort", ["some", "little"])
def test_less_effort_gives_the_same_pictures(effort):
    whole = renderer("all").render_chunk(range(4), seed=1)
    less = renderer(effort).render_chunk(range(4), seed=1)
    np.testing.assert_allclose(less.raw, whole.raw, atol=1e-4)
    np.testing.assert_array_equal(less.status, whole.status)


def test_small_layers_are_compiled_with_less_effort_and_go_on_so():
    first = renderer()
    assert "effort" not in first.compute
    first.tune(4)
    assert first.compute["effort"] == "some"
    # a continued run takes what is recorded, whatever the rule is by then
    second = renderer()
    second.restore({**first.compute, "effort": "all"})
    second.tune(4)
    assert second.compute["effort"] == "all"


def test_a_layer_begun_in_forms_that_are_gone_goes_on_in_those_that_are_there():
    first, second = renderer(), renderer()
    gone = {name: "of another version" for name in first.implementations}
    second.restore({**first.compute, "forms": gone})
    assert gone
    assert second.implementations == first.implementations
    assert "differs from it in rounding" in second.notes[0]


def test_options_that_are_not_known_are_left_out():
    compiler._known.cache_clear()
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(compiler, "_PLAIN_LOOPS", {"xla_no_such_option": True})
        assert compiler.compiler_options("cpu", "some") is None
        assert compiler.compiler_options("tpu", "all") is None
    compiler._known.cache_clear()  # or this process would round otherwise from here on
    options = compiler.compiler_options("cpu", "little")
    assert options is not None
    assert jax.jit(lambda x: x + 1, compiler_options=options)(1) == 2


def test_a_tpu_is_told_what_is_worth_copying_where_it_knows_that():
    pytest.importorskip("libtpu")
    device = named_target("v5e:2x2").devices[0]
    options = compiler.compiler_options("tpu", "all", device)
    assert options == {"xla_tpu_msa_inefficient_use_to_copy_ratio": 1.01}
    with pytest.MonkeyPatch.context() as changed:
        compiler._known.cache_clear()
        changed.setattr(compiler, "_WORTH_COPYING", {"xla_tpu_no_such_option": True})
        assert compiler.compiler_options("tpu", "all", device) is None
    compiler._known.cache_clear()
