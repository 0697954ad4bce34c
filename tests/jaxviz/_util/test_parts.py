"""Parts are found by their class: in a stated order, and each kind once."""

import types
from typing import Literal

import pytest
from pydantic import BaseModel

import jaxviz.parameterizations
from jaxviz._util.parts import kinds_of
from jaxviz.objectives import OBJECTIVES
from jaxviz.presets import DEFAULT_PRESET, PRESETS
from jaxviz.transforms import TRANSFORMS


class Part(BaseModel):
    kind: str


def module(name, **kinds):
    made = types.ModuleType(name)
    for class_name, kind in kinds.items():
        annotations = {"kind": Literal[kind]}
        body = {"__module__": name, "__annotations__": annotations, "kind": kind}
        setattr(made, class_name, type(class_name, (Part,), body))
    return made


def test_listed_kinds_come_first_and_new_ones_follow():
    first, second = module("first", A="a", B="b"), module("second", C="c")
    second.imported = first.A
    assert list(kinds_of(Part, [first, second], listed=["c"])) == ["c", "a", "b"]


def test_two_classes_of_one_kind_are_refused():
    with pytest.raises(ValueError, match="have the kind 'a'"):
        kinds_of(Part, [module("first", A="a"), module("second", B="a")])
    with pytest.raises(ValueError, match=r"no class has the kinds \['z'\]"):
        kinds_of(Part, [module("first", A="a")], listed=["z"])


def test_listings_keep_their_order():
    assert list(OBJECTIVES)[:4] == ["channel", "neuron", "layer", "direction"]
    assert list(TRANSFORMS)[:4] == ["pad", "jitter", "scale", "octaves"]
    assert list(PRESETS)[:3] == [DEFAULT_PRESET, "keras-io", "article"]


def test_the_old_name_of_the_base_of_parameterizations_warns():
    with pytest.warns(DeprecationWarning, match="is now jaxviz.parameterizations.Parameterization"):
        old = jaxviz.parameterizations.Values
    assert old is jaxviz.parameterizations.Parameterization
