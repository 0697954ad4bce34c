"""A bundle from a stranger is checked as strictly as a model file."""

from __future__ import annotations

import io
import json
import os
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts

from jaxviz.bundle import Bundle
from jaxviz.bundle import store as bundles
from jaxviz.errors import JaxvizError, ModelFileError, SpecError
from jaxviz.spec import Conv, InputSpec, ModelSpec, Node

CONV = Conv(filters=4, window=(3, 3), strides=(1, 1), dilation=(1, 1), padding="valid")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    spec = ModelSpec(
        name="net",
        inputs=(InputSpec(name="image", shape=(8, 8, 3)),),
        nodes=(
            Node(name="conv", op=CONV, inputs=("image",), layer="conv",
                 weights={"kernel": "kernel", "bias": "bias"}),
        ),
        outputs=("conv",),
    )  # fmt: skip
    weights = {"conv": {"kernel": np.ones((3, 3, 3, 4), np.float32), "bias": np.zeros(4, "f4")}}
    probes = {"image": np.ones((1, 8, 8, 3), np.float32), "conv": np.ones(144, np.float32)}
    return bundles.save(Bundle(spec, weights, probes), tmp_path / "net.bundle")


def refusal(path: Path) -> str:
    """The message; reading must not take a quarter of a gigabyte."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(JaxvizError) as caught:
        bundles.load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 << 10
    return str(caught.value)


def test_an_undamaged_bundle_loads(path: Path) -> None:
    assert bundles.load(path).probes is not None


def _edit_spec(path: Path, change: Callable[[dict], None]) -> Path:
    document = json.loads((path / bundles.SPEC_FILE).read_text())
    change(document)
    (path / bundles.SPEC_FILE).write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"nodes": NaN}', "[" * 100_000])
def test_a_file_that_is_not_a_spec(text: str, path: Path) -> None:
    (path / bundles.SPEC_FILE).write_text(text)
    assert bundles.SPEC_FILE in refusal(path)


@pytest.mark.parametrize("value", [0, -1, 1 << 70, 1.5, float("nan"), None, "x", [1]])
def test_nonsense_among_the_numbers_of_a_spec(value: object, path: Path) -> None:
    def change(document: dict) -> None:
        document["nodes"][0]["op"]["filters"] = value

    refusal(_edit_spec(path, change))


def test_a_node_that_reads_itself(path: Path) -> None:
    def change(document: dict) -> None:
        document["nodes"][0]["inputs"] = ["conv"]

    refusal(_edit_spec(path, change))


def test_weights_that_claim_terabytes(path: Path) -> None:
    """Spec and weights agree, but the files hold almost nothing."""

    def change(document: dict) -> None:
        document["nodes"][0]["op"].update(filters=1 << 38)

    _edit_spec(path, change)
    base = f"file://{(path / bundles.WEIGHTS_FOLDER).absolute()}/"
    store = ts.KvStore.open({"driver": "ocdbt", "base": base}).result()
    for name, shape in (("kernel", [3, 3, 3, 1 << 38]), ("bias", [1 << 38])):
        key = f"conv.{name}/.zarray"
        metadata = json.loads(store.read(key).result().value)
        metadata.update(shape=shape, fill_value=1.0)
        store.write(key, json.dumps(metadata)).result()
    assert "claim" in refusal(path)


def test_weights_of_another_shape_are_not_loaded(path: Path) -> None:
    def change(document: dict) -> None:
        document["nodes"][0]["op"].update(filters=5)

    with pytest.raises(SpecError, match=r"kernel has shape \(3, 3, 3, 4\)"):
        bundles.load(_edit_spec(path, change))


@pytest.mark.parametrize("name", ["spec.json", "weights", "probes.npz", "weights/manifest.ocdbt"])
def test_links_are_not_followed(name: str, path: Path, tmp_path: Path) -> None:
    (path / name).rename(tmp_path / "elsewhere")
    (path / name).symlink_to(tmp_path / "elsewhere")
    assert "neither a file nor a folder" in refusal(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path / "weights" / "d" / "pipe")
    assert "neither a file nor a folder" in refusal(path)


def _npy(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    header = io.BytesIO()
    fields = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    return header.getvalue() + bytes(16)


@pytest.mark.parametrize(
    "content",
    [_npy((1 << 40,)), _npy((1 << 20, 1 << 20)), _npy((2,), "|O"), b"", b"\x93NUMPY\x09\x00", b"x"],
    ids=["long", "square", "objects", "empty", "version", "nothing"],
)
def test_probes_that_lie(content: bytes, path: Path) -> None:
    with zipfile.ZipFile(path / bundles.PROBES_FILE, "w") as archive:
        archive.writestr("conv.npy", content)
    assert "probes" in refusal(path)


def test_probes_that_are_a_bomb(path: Path) -> None:
    with zipfile.ZipFile(path / bundles.PROBES_FILE, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("conv.npy", "w") as member:
            for _ in range(300):
                member.write(bytes(1 << 20))
    with pytest.raises(ModelFileError, match="claims 314572800 bytes"):
        bundles.load(path)
