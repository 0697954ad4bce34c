"""The document that says how a layer is computed: on disk as before, and handed on whole."""

import json

import pytest
from pydantic import ValidationError

from jaxviz.runtime.execution import Execution, Fidelity

#: As an atlas of version 0.1 holds it.
OLD = {
    "chunk": 4,
    "lanes": 2,
    "forms": {"conv1": "winograd, small tiles", "conv1\0branches": "gradient apart"},
    "dtype": "bfloat16",
    "tuned": True,
    "effort": "some",
    "fidelity": {"cosine": 0.98, "score": 0.01, "units": 16, "own": None},
    "did_not_fit": [8],
}


def test_what_version_0_1_wrote_is_read_and_written_again():
    read = Execution.model_validate(OLD)
    assert read.implementations == OLD["forms"]
    assert read.fidelity == Fidelity(cosine=0.98, score=0.01, units=16)
    written = json.loads(read.model_dump_json())
    assert {name: written[name] for name in OLD if name != "fidelity"} == {
        name: value for name, value in OLD.items() if name != "fidelity"
    }
    assert written["version"] == 1


def test_what_is_not_known_yet_is_left_out():
    assert set(Execution(chunk=2).as_json()) == {
        "version", "chunk", "lanes", "forms", "dtype", "tuned",
    }  # fmt: skip


def test_every_document_survives_the_way_through_json():
    read = Execution.model_validate(OLD)
    for one in (read, Execution(chunk=1), read.changed(chunk=2, did_not_fit=(8, 4))):
        assert Execution.model_validate_json(one.model_dump_json()) == one


def test_it_is_frozen_and_changes_are_checked():
    one = Execution(chunk=2)
    with pytest.raises(ValidationError):
        one.chunk = 3
    with pytest.raises(ValidationError, match="chunk"):
        one.changed(chunk=0)
    assert one.changed(chunk=5).chunk == 5
    assert one.chunk == 2


def test_another_schema_is_refused():
    with pytest.raises(ValidationError, match="version"):
        Execution.model_validate({**OLD, "version": 2})
