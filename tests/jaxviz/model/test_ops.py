"""Every operation answers what passes over the graph ask of it."""

import pytest

from jaxviz import spec
from jaxviz.model.ops import DIRECT, IMPLEMENTATIONS, RULES
from jaxviz.model.ops.registry import ALL_CHANNELS
from jaxviz.spec.ops import OPS


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)
def test_an_operation_has_a_reference_implementation_and_rules(op):
    assert DIRECT in IMPLEMENTATIONS[op]
    rules = RULES[op]
    assert callable(rules.flops)
    assert callable(rules.bounds)
    # an operation that may keep channels apart says how, and no other does
    assert (rules.one_channel.from_same is None) == (op.channelwise is False)
    if rules.one_channel.from_same is None and rules.one_channel.from_whole is None:
        assert rules.one_channel is ALL_CHANNELS


def test_no_rules_are_left_over():
    assert set(RULES) == set(IMPLEMENTATIONS) == set(OPS)


def test_an_operation_is_named_and_exported():
    names = [op.model_fields["op"].default for op in OPS]
    assert len(set(names)) == len(OPS)
    assert {op.__name__ for op in OPS} <= set(spec.__all__), "add it to jaxviz/spec/__init__.py"
