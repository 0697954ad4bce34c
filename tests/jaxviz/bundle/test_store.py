"""A bundle comes back as it was saved, and a damaged one is refused."""

import json

import numpy as np
import pytest

from jaxviz.bundle import store as bundles
from jaxviz.errors import ModelFileError, SpecError
from jaxviz.spec import InputRange
from tests.support.tiny import tiny_bundle


@pytest.fixture
def saved(tmp_path):
    range_ = InputRange(low=(0.0,), high=(1.0,))
    bundle = tiny_bundle(range_=range_)
    probes = {"image": np.ones((1, 2, 2, 3), np.float32), "conv1": np.zeros(3, np.float16)}
    bundle = bundles.Bundle(bundle.spec, bundle.weights, probes)
    return bundle, bundles.save(bundle, tmp_path / "tiny.bundle")


def test_round_trip(saved):
    bundle, path = saved
    loaded = bundles.load(path)
    assert loaded.spec == bundle.spec
    assert loaded.digest == bundle.digest
    for layer, arrays in bundle.weights.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(loaded.weights[layer][name], array)
    for name, array in bundle.probes.items():
        np.testing.assert_array_equal(loaded.probes[name], array)


def test_the_digest_sees_weights_but_not_where_they_came_from(saved):
    bundle, _ = saved
    assert bundle.with_spec(range=None).digest == bundle.digest
    changed = {layer: dict(arrays) for layer, arrays in bundle.weights.items()}
    changed["conv1"]["bias"] = changed["conv1"]["bias"] + 1
    assert bundles.Bundle(bundle.spec, changed).digest != bundle.digest


def test_saving_replaces_a_bundle_but_nothing_else(saved, tmp_path):
    bundle, path = saved
    bundles.save(bundle, path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("precious")
    with pytest.raises(ModelFileError, match="not a bundle"):
        bundles.save(bundle, other)
    assert (other / "thesis.txt").read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other", "tiny.bundle"]


def test_weights_that_do_not_match_are_all_named(saved):
    bundle, _ = saved
    changed = {layer: dict(arrays) for layer, arrays in bundle.weights.items()}
    changed["conv1"]["kernel"] = changed["conv1"]["kernel"][..., :2]
    del changed["scores"]["bias"]
    with pytest.raises(SpecError) as error:
        bundles.check_weights(bundle.spec, changed)
    assert "conv1/pre_activation  kernel has shape (3, 3, 3, 2), expected (3, 3, 3, 6)" in str(
        error.value
    )
    assert "scores  bias is missing, expected shape (4,)" in str(error.value)


def _damage_spec(path, change):
    file = path / "spec.json"
    spec = json.loads(file.read_text())
    change(spec)
    file.write_text(json.dumps(spec))


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec["nodes"][0]["inputs"].__setitem__(0, "later"),
        lambda spec: spec["nodes"][0]["op"].__setitem__("op", "lambda"),
        lambda spec: spec["nodes"][0]["op"].__setitem__("filters", -1),
        lambda spec: spec["nodes"].append(spec["nodes"][0]),
        lambda spec: spec.__setitem__("outputs", ["nothing"]),
        lambda spec: spec.__setitem__("run", "import os"),
        lambda spec: spec.clear(),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(saved, change):
    _, path = saved
    _damage_spec(path, change)
    with pytest.raises(ModelFileError, match=r"spec\.json"):
        bundles.load(path)


def test_damaged_files_are_refused(saved):
    _, path = saved
    (path / "spec.json").write_bytes((path / "spec.json").read_bytes()[:100])
    with pytest.raises(ModelFileError, match="damaged"):
        bundles.load(path)
    with pytest.raises(ModelFileError, match="not a bundle"):
        bundles.load(path.parent)


@pytest.mark.usefixtures("damaged_bundles")
def test_weights_that_are_gone_are_refused(saved):
    _, path = saved
    for file in sorted((path / "weights").rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    with pytest.raises(ModelFileError, match="weights"):
        bundles.load(path)
