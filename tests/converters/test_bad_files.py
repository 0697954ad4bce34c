"""Each kind of bad input ends quickly, in one clear message."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import converters
from jaxviz.errors import ConversionError, JaxvizError, ModelFileError
from tests.support.keras_models import Keras

#: Where Keras 3 puts the arrays of `saved`'s convolution in its HDF5 files.
CONV = "model_weights/conv/net/conv"


@pytest.fixture
def saved(keras: Keras, tmp_path: Path) -> Callable[[str], Path]:
    """A small model in a file of either kind."""

    def save(ending: str) -> Path:
        layers = keras.layers
        model = keras.Sequential(
            [layers.Input((8, 8, 3)), layers.Conv2D(4, 3, name="conv"), layers.Flatten()],
            name="net",
        )
        path = tmp_path / f"net{ending}"
        model.save(path)
        return path

    return save


def refusal(path: Path) -> str:
    with pytest.raises(JaxvizError) as caught:
        converters.convert_file(path)
    return str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.keras") == f"there is no file '{tmp_path}/no.keras'"


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(100)])
def test_not_a_model(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "picture.keras"
    path.write_bytes(content)
    assert not converters.recognises(path)
    assert "is not a Keras model: expected a .keras zip, HDF5 or JSON" in refusal(path)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
def test_a_truncated_file(ending: str, kept: float, saved: Any) -> None:
    path = saved(ending)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    assert "net" + ending in refusal(path)


def test_a_file_on_which_libhdf5_never_returns(shared_specimen: Path) -> None:
    begin = time.monotonic()
    assert "is damaged: the HDF5 library hangs on it" in refusal(shared_specimen)
    assert time.monotonic() - begin < 60


@pytest.fixture
def shared_specimen(tmp_path: Path) -> Path:
    path = Path(__file__).parents[2] / "tests/specimens/hangs-libhdf5.h5"
    if not path.is_file():
        pytest.skip("tests/specimens/hangs-libhdf5.h5 is not there")
    return path


def test_weights_of_the_wrong_shape_name_the_layer_and_both_shapes(saved: Any) -> None:
    path = saved(".h5")
    with h5py.File(path, "r+") as file:
        group = file[CONV]
        del group["kernel"]
        group["kernel"] = np.zeros((5, 5, 3, 4), np.float32)
    assert refusal(path).splitlines() == [
        "the weights of 'net.h5' do not match its architecture",
        "  conv  kernel has shape (5, 5, 3, 4), expected (3, 3, 3, 4)",
    ]


def test_missing_weights_name_the_layer(saved: Any) -> None:
    path = saved(".h5")
    with h5py.File(path, "r+") as file:
        del file[f"{CONV}/bias"]
    assert "conv  expected 2 arrays (kernel, bias), found (3, 3, 3, 4)" in refusal(path)


def test_weights_without_an_architecture(saved: Any) -> None:
    path = saved(".h5")
    with h5py.File(path, "r+") as file:
        del file.attrs["model_config"]
    assert "holds weights but no architecture" in refusal(path)


def test_a_subclassed_model_cannot_be_read(saved: Any) -> None:
    path = saved(".h5")
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "MyNet", "config": {}})
    assert "cannot read a MyNet: only Sequential and Functional models" in refusal(path)


def _edited(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The same .keras file with another config.json."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    document = json.loads(members["config.json"])
    change(document)
    members["config.json"] = json.dumps(document).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_an_unknown_option_is_refused_with_its_value(saved: Any) -> None:
    def change(document: dict[str, Any]) -> None:
        document["config"]["layers"][1]["config"]["twist"] = 0.5

    path = _edited(saved(".keras"), change)
    assert "Conv2D: has options that jaxviz does not know: twist='0.5'" in refusal(path)


def test_a_class_of_the_same_name_from_elsewhere_is_not_keras(saved: Any) -> None:
    def change(document: dict[str, Any]) -> None:
        document["config"]["layers"][1].update(module="my_layers", registered_name="my>Conv2D")

    with pytest.raises(ConversionError, match="is not a layer that jaxviz knows"):
        converters.convert_file(_edited(saved(".keras"), change))


@pytest.mark.parametrize("value", [-1, 0, 1 << 70, "x", None, [1], 1.5, float("nan")])
def test_nonsense_in_an_option_is_refused(value: Any, saved: Any) -> None:
    def change(document: dict[str, Any]) -> None:
        document["config"]["layers"][1]["config"]["filters"] = value

    assert "  conv  " in refusal(_edited(saved(".keras"), change))


def test_two_members_of_the_same_name(saved: Any) -> None:
    path = saved(".keras")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", "{}")
    assert "holds two files called 'config.json'" in refusal(path)


def test_a_zip_that_is_no_model(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../../evil.txt", "x")
    assert "is a zip but not a Keras model: it has no config.json" in refusal(tmp_path / "a.zip")


def test_json_nested_without_end(saved: Any) -> None:
    path = saved(".h5")
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = "[" * 50_000
    assert "nested too deeply" in refusal(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda file, where: file.__setitem__("stray", h5py.ExternalLink(str(where), "/x")),
        lambda file, where: file.__setitem__("stray", h5py.SoftLink("/model_weights")),
        lambda file, where: file.__setitem__("stray", file["model_weights"]),
    ],
    ids=["external link", "soft link", "loop"],
)
def test_links_are_not_followed(damage: Any, saved: Any, tmp_path: Path) -> None:
    path = saved(".h5")
    with h5py.File(path, "r+") as file:
        damage(file, tmp_path / "other.h5")
    assert "link" in refusal(path)


def test_values_in_another_file_are_not_read(saved: Any, tmp_path: Path) -> None:
    path = saved(".h5")
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(16))
    with h5py.File(path, "r+") as file:
        group = file[CONV]
        del group["bias"]
        group.create_dataset("bias", (4,), np.float32, external=[(str(secret), 0, 16)])
    assert "keeps its values in another file" in refusal(path)


def test_a_virtual_dataset_is_not_read(saved: Any, tmp_path: Path) -> None:
    path = saved(".h5")
    with h5py.File(path, "r+") as file:
        group = file[CONV]
        del group["bias"]
        layout = h5py.VirtualLayout((4,), np.float32)
        layout[:] = h5py.VirtualSource(str(tmp_path / "x.h5"), "y", (4,))
        group.create_virtual_dataset("bias", layout)
    assert "keeps its values in another file" in refusal(path)


def test_an_array_that_claims_more_than_the_file_holds(saved: Any) -> None:
    path = saved(".h5")
    with h5py.File(path, "r+") as file:
        group = file[CONV]
        del group["bias"]
        group.create_dataset("bias", (1 << 38,), np.float32)
    begin = time.monotonic()
    assert "claims" in refusal(path)
    assert time.monotonic() - begin < 10


def test_a_lambda_is_refused_by_name_and_never_run(keras: Keras, tmp_path: Path) -> None:
    marker = str(tmp_path / "ran")
    image = keras.layers.Input((4,))
    code = keras.layers.Lambda(
        lambda t: (open(marker, "w").close(), t)[1], name="code", output_shape=(4,)
    )
    model = keras.Model(image, code(image))
    model.save(tmp_path / "net.keras")
    Path(marker).unlink(missing_ok=True)
    with pytest.raises(ConversionError, match="code  Lambda: holds Python code"):
        converters.convert_file(tmp_path / "net.keras")
    assert not Path(marker).exists()


def test_a_graph_with_a_circle(keras: Keras, tmp_path: Path) -> None:
    image = keras.layers.Input((4,), name="image")
    a = keras.layers.ReLU(name="a")(image)
    keras.Model(image, keras.layers.ReLU(name="b")(a)).save(tmp_path / "net.keras")

    def change(document: dict[str, Any]) -> None:
        node = document["config"]["layers"][1]["inbound_nodes"][0]
        node["args"][0]["config"]["keras_history"][0] = "b"

    with pytest.raises(ModelFileError, match="has a circle"):
        converters.convert_file(_edited(tmp_path / "net.keras", change))


def _dangling(document: dict[str, Any]) -> None:
    node = document["config"]["layers"][1]["inbound_nodes"][0]
    node["args"][0]["config"]["keras_history"][0] = "nowhere"


def _of_another_call(document: dict[str, Any]) -> None:
    node = document["config"]["layers"][1]["inbound_nodes"][0]
    node["args"][0]["config"]["keras_history"][1] = 7


def _no_output(document: dict[str, Any]) -> None:
    document["config"]["output_layers"] = [["nowhere", 0, 0]]


def _twice(document: dict[str, Any]) -> None:
    document["config"]["layers"][1]["name"] = document["config"]["layers"][0]["name"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_dangling, "layer 'a' reads from 'nowhere' (call 0), which the model does not have"),
        (_of_another_call, "layer 'a' reads from 'image' (call 7), which the model does not have"),
        (_no_output, "has outputs that no layer makes\n  nowhere (call 0, tensor 0)"),
        (_twice, "two layers of model 'net' are called 'image'"),
    ],
)
def test_references_that_lead_nowhere(
    change: Any, message: str, keras: Keras, tmp_path: Path
) -> None:
    image = keras.layers.Input((4,), name="image")
    keras.Model(image, keras.layers.ReLU(name="a")(image), name="net").save(tmp_path / "net.keras")
    assert message in refusal(_edited(tmp_path / "net.keras", change))


def test_a_name_that_leads_out_of_a_zip_is_never_written(saved: Any, tmp_path: Path) -> None:
    path = saved(".keras")
    outside = tmp_path / "outside.txt"
    before = set(tmp_path.rglob("*"))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(str(outside), "x")
        archive.writestr("../../../../tmp/jaxviz-was-here", "x")
    assert converters.convert_file(path).spec.name == "net"
    assert set(tmp_path.rglob("*")) == before
    assert not Path("/tmp/jaxviz-was-here").exists()


@pytest.mark.parametrize("member", ["model.weights.h5", "config.json"])
def test_a_zip_that_would_grow_without_end(member: str, saved: Any) -> None:
    path = saved(".keras")
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            with archive.open(name, "w") as opened:
                opened.write(content)
                for _ in range(100 if name == member else 0):
                    opened.write(b" " * (1 << 20))
    begin = time.monotonic()
    assert "claims" in refusal(path)
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("where", ["attribute", "array"])
def test_references_to_objects_are_not_followed(where: str, saved: Any) -> None:
    path = saved(".h5")
    with h5py.File(path, "r+") as file:
        reference = file[CONV].ref
        if where == "attribute":
            file["model_weights"].attrs["backend"] = reference
        else:
            del file[f"{CONV}/kernel"]
            file.create_dataset(f"{CONV}/kernel", data=[reference], dtype=h5py.ref_dtype)
    assert ("neither text nor numbers" if where == "attribute" else "expected 2 arrays") in refusal(
        path
    )


def test_a_compressed_array_that_is_mostly_air(saved: Any) -> None:
    """Unwritten chunks need no space in the file, but terabytes in memory."""
    path = saved(".h5")
    with h5py.File(path, "r+") as file:
        del file[f"{CONV}/bias"]
        file.create_dataset(f"{CONV}/bias", (1 << 40,), "f4", chunks=(1 << 20,), compression="gzip")
    assert "more than a file of this size could hold" in refusal(path)


def test_an_architecture_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    with path.open("wb") as file:
        file.write(b'{"class_name": "Sequential"')
        file.truncate((64 << 20) + 1)
    assert "is too large for an architecture" in refusal(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "net.keras")
    assert "is not a Keras model" in refusal(tmp_path / "net.keras")


def test_names_are_shown_without_what_a_terminal_obeys(keras: Keras, tmp_path: Path) -> None:
    image = keras.layers.Input((4,), name="image")
    model = keras.Model(image, keras.layers.Masking(name="a\x1b[2J\nb")(image), name="net")
    model.save(tmp_path / "net.keras")
    command = [sys.executable, "-m", "jaxviz", "convert", str(tmp_path / "net.keras")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "\x1b" not in ended.stderr
    assert "Masking: masks later layers" in ended.stderr
