"""What a program's compile is worth changes its rounding at most, and is remembered."""

import jax
import numpy as np
import pytest

from jaxviz.engine.choose import continued, notes
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.presets import get_preset
from jaxviz.runtime import xla_options as compiler
from jaxviz.runtime.devices import named_target
from jaxviz.runtime.execution import Execution
from jaxviz.spec import InputRange
from tests.support.tiny import tiny_bundle

RANGE = InputRange(low=(0.0,), high=(1.0,))


def renderer(effort=None):
    preset = get_preset("keras-io").override(steps=3)
    made = LayerRenderer.for_layer(tiny_bundle(range_=RANGE), "conv2", preset, size=24, chunk=2)
    return made.with_execution(made.execution.changed(effort=effort))


@pytest.mark.parametrize("effort", ["some", "little"])
def test_less_effort_gives_the_same_pictures(effort):
    whole = renderer("all").render(range(4), seed=1)
    less = renderer(effort).render(range(4), seed=1)
    np.testing.assert_allclose(less.raw, whole.raw, atol=1e-4)
    np.testing.assert_array_equal(less.status, whole.status)


def test_small_layers_are_compiled_with_less_effort_and_go_on_so():
    first = renderer()
    assert first.execution.effort is None
    assert "effort" not in first.execution.as_json()
    assert first.settled(4).execution.effort == "some"
    # a continued run takes what is recorded, whatever the rule is by then
    assert renderer("all").settled(4).execution.effort == "all"


def test_a_layer_begun_in_forms_that_are_gone_goes_on_in_those_that_are_there():
    first = renderer()
    gone = dict.fromkeys(first.execution.implementations, "of another version")
    kept = Execution.model_validate({**first.execution.as_json(), "forms": gone, "chunk": 1})
    assert gone
    found = continued(kept, first.execution, first.setup)
    assert found == first.execution.changed(chunk=1)
    (note,) = notes("conv2", kept, found)
    assert "may differ in rounding" in note


def test_options_that_are_not_known_are_left_out():
    compiler.known.cache_clear()
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(compiler, "PLAIN_LOOPS", {"xla_no_such_option": True})
        assert compiler.compiler_options("cpu", "some") is None
        assert compiler.compiler_options("tpu", "all") is None
    compiler.known.cache_clear()  # or this process would round otherwise from here on
    options = compiler.compiler_options("cpu", "little")
    assert options is not None
    assert jax.jit(lambda x: x + 1, compiler_options=options)(1) == 2


def test_a_tpu_is_told_what_is_worth_copying_where_it_knows_that():
    pytest.importorskip("libtpu")
    device = named_target("v5e:2x2").devices[0]
    options = compiler.compiler_options("tpu", "all", device)
    assert options == {"xla_tpu_msa_inefficient_use_to_copy_ratio": 1.01}
    with pytest.MonkeyPatch.context() as changed:
        compiler.known.cache_clear()
        changed.setattr(compiler, "WORTH_COPYING", {"xla_tpu_no_such_option": True})
        assert compiler.compiler_options("tpu", "all", device) is None
    compiler.known.cache_clear()
