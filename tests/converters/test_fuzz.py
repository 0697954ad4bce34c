"""A damaged model file converts, or ends in a JaxvizError, within a minute and a gigabyte.

The default is 500 cases; `pytest tests/converters/test_fuzz.py -m slow` runs 10,000. Number and
seed reproduce a case.
"""

from __future__ import annotations

import copy
import gc
import json
import random
import resource
import shutil
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import converters
from converters.config import parse_model
from converters.convert import convert
from converters.keras_file import read
from converters.keras_live import KerasModel
from converters.network import Network
from jaxviz.bundle import Bundle
from jaxviz.bundle import store as bundles
from jaxviz.errors import JaxvizError
from jaxviz.spec import Source
from tests.support.keras_models import write_tensorflow_js

SHARD = "group1-shard1of1.bin"
KERAS1 = Path(__file__).parents[1] / "specimens" / "keras1_last.h5"
#: Most seconds of a case; the child that reads HDF5 stops after 5 seconds of processor time.
LONGEST = 60.0
LARGEST = 1 << 30
NASTY: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 7, 1 << 31, 1 << 70, -(1 << 70), 0.5, -0.0, 1e308, float("nan"),
    float("inf"), "", "valid", "same", "relu", "\ud800", "a" * 5000, "../../etc/passwd", "\x00",
    [], {}, [[]], [None], [0, 0], [-1, 1], ["a", 0, 0], {"class_name": "Lambda", "config": {}},
    {"class_name": "__keras_tensor__", "config": {}}, "Conv2D", "Functional", "Sequential",
)  # fmt: skip


@pytest.fixture(scope="module")
def specimens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with most kinds of layer in every format."""
    keras = pytest.importorskip("keras")
    folder = tmp_path_factory.mktemp("specimens")
    layers = keras.layers
    inner = keras.Sequential(
        [layers.Input((8, 8, 4)), layers.SeparableConv2D(4, 3, padding="same"), layers.PReLU()],
        name="inner",
    )
    image = layers.Input((8, 8, 3), name="image")
    shared = layers.Conv2D(4, 3, padding="same", activation="relu", name="shared")
    x = layers.BatchNormalization()(layers.Conv2D(3, 1, groups=1)(image))
    x = layers.Add()([shared(image), shared(x)])
    x = inner(layers.UpSampling2D(2)(layers.MaxPooling2D(2)(x)))
    x = layers.LayerNormalization()(x) * 0.5 + 1.0
    x = layers.Concatenate()([x, layers.ZeroPadding2D(1)(layers.Cropping2D(1)(x))])
    x = layers.Conv2DTranspose(4, 3, strides=2)(x)[:, 1:, ::2]
    x = layers.Dense(3, activation="softmax")(layers.Flatten()(x))
    model = keras.Model(image, x, name="net")
    model.save(folder / "net.keras")
    model.save(folder / "net.h5")
    shutil.copy(KERAS1, folder / "keras1.h5")
    bundle = converters.convert_file(folder / "net.keras")
    probes = {"image": np.ones((1, 8, 8, 3), np.float32), "shared": np.ones(9, np.float32)}
    bundles.save(replace(bundle, probes=probes), folder / "net.bundle")
    _write_tensorflow_js(converters.convert_file(folder / "net.keras"), model, folder / "tfjs")
    return folder


def _write_tensorflow_js(bundle: Bundle, model: KerasModel, folder: Path) -> None:
    folder.mkdir()
    arrays = [
        (f"{layer}/{name}", np.ascontiguousarray(array))
        for layer, named in bundle.weights.items()
        for name, array in named.items()
    ]
    write_tensorflow_js(model, arrays, folder, version="3.0")


def mutate_bytes(content: bytes, rng: random.Random) -> bytes:
    """Content with some bytes changed, removed or doubled, or with its end removed."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at = rng.randrange(len(data)) if data else 0
        kind = rng.randrange(6)
        if kind == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            data[at : at + 8] = rng.choice([b"\xff" * 8, bytes(8), b"\x7f" + b"\xff" * 7])
        elif kind == 2:
            del data[at : at + rng.randrange(64)]
        elif kind == 3:
            data[at:at] = data[at : at + rng.randrange(64)]
        elif kind == 4 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif rng.random() < 0.2:
            del data[at:]
    return bytes(data)


def mutate_json(document: Any, rng: random.Random) -> Any:
    """A document with some values replaced, removed, or exchanged with others."""
    document = copy.deepcopy(document)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        places: list[tuple[Any, Any]] = []
        stack = [document]
        while stack:
            value = stack.pop()
            keys = value.keys() if isinstance(value, dict) else range(len(value))
            for key in keys:
                places.append((value, key))
                if isinstance(value[key], dict | list):
                    stack.append(value[key])
        if not places:
            break
        holder, key = rng.choice(places)
        kind = rng.randrange(4)
        if kind == 0:
            del holder[key]
        elif kind == 1:
            other, where = rng.choice(places)
            holder[key] = copy.deepcopy(
                other.get(where) if isinstance(other, dict) else holder[key]
            )
        elif kind == 2 and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        else:
            holder[key] = copy.deepcopy(rng.choice(NASTY))
    return document


Case = Callable[[Path, Path, random.Random], Any]


def _bytes_of(name: str) -> Case:
    def case(specimens: Path, folder: Path, rng: random.Random) -> Any:
        path = folder / name
        path.write_bytes(mutate_bytes((specimens / name).read_bytes(), rng))
        return converters.convert_file(path)

    return case


def _config_in_zip(specimens: Path, folder: Path, rng: random.Random) -> Any:
    """A damaged architecture, with the arrays of the specimen, which are read once."""
    network, store, _ = _cached(specimens)
    with zipfile.ZipFile(specimens / "net.keras") as archive:
        document = mutate_json(json.loads(archive.read("config.json")), rng)
    changed = parse_model(document, network.keras)
    return convert(changed, store, Source(file="net.keras"))


def _members_of_zip(specimens: Path, folder: Path, rng: random.Random) -> Any:
    """A zip with members lost, doubled, renamed, exchanged, or with other content."""
    with zipfile.ZipFile(specimens / "net.keras") as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    at = rng.randrange(len(members))
    name, content = members[at]
    kind = rng.randrange(5)
    if kind == 0:
        del members[at]
    elif kind == 1:
        members[at] = (rng.choice(["../config.json", "/etc/passwd", "", name.upper()]), content)
    elif kind == 2:
        members[at] = (name, members[rng.randrange(len(members))][1])
    elif kind == 3:
        members[at] = (name, mutate_bytes(content, rng))
    else:
        members.append((name, content))
    method = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
    with warnings.catch_warnings(), zipfile.ZipFile(folder / "a.keras", "w", method) as archive:
        warnings.simplefilter("ignore", UserWarning)  # about a name that stands there twice
        for name, content in members:
            archive.writestr(name or "x", content)
    return converters.convert_file(folder / "a.keras")


def _tree_of_hdf5(specimens: Path, folder: Path, rng: random.Random) -> Any:
    """A sound HDF5 file with groups, arrays and attributes removed or replaced."""
    path = folder / "a.h5"
    shutil.copy(specimens / rng.choice(["net.h5", "keras1.h5"]), path)
    with h5py.File(path, "r+") as file:
        for _ in range(rng.choice([1, 1, 2, 4])):
            names = ["/"]
            file.visit(names.append)
            name = rng.choice(names)
            if rng.random() < 0.4:
                attributes = file[name].attrs
                key = rng.choice([*attributes, "weight_names", "layer_names", "keras_version"])
                attributes[key] = rng.choice(ATTRIBUTES)
            elif name != "/":
                del file[name]
                if rng.random() < 0.7:
                    shape = tuple(rng.choice([0, 1, 3, 4, 8]) for _ in range(rng.randrange(6)))
                    file[name] = np.zeros(shape, rng.choice(["f4", "f2", "i8", "S3", "c8", "?"]))
    return converters.convert_file(path)


ATTRIBUTES: tuple[Any, ...] = (
    "", "1.2.2", "2.0", "9" * 99, 7, -1.5, np.zeros(0), np.array(["a", "b"], "S"), b"\xff\xfe",
    "{", '{"class_name": "Sequential", "config": []}', np.array(["../x"], "S"), np.zeros((3, 3)),
)  # fmt: skip


_CACHE: dict[Path, tuple[Network, Any, Source]] = {}


def _cached(specimens: Path) -> tuple[Network, Any, Source]:
    if specimens not in _CACHE:
        _CACHE[specimens] = read(specimens / "net.keras")
    return _CACHE[specimens]


def _tensorflow_js_json(specimens: Path, folder: Path, rng: random.Random) -> Any:
    shutil.copy(specimens / f"tfjs/{SHARD}", folder)
    document = mutate_json(json.loads((specimens / "tfjs/model.json").read_text()), rng)
    (folder / "model.json").write_text(json.dumps(document))
    return converters.convert_file(folder / "model.json")


def _tensorflow_js_bytes(specimens: Path, folder: Path, rng: random.Random) -> Any:
    for name in (SHARD, "model.json"):
        content = (specimens / "tfjs" / name).read_bytes()
        (folder / name).write_bytes(mutate_bytes(content, rng) if rng.random() < 0.6 else content)
    return converters.convert_file(folder)


def _bundle_spec(specimens: Path, folder: Path, rng: random.Random) -> Any:
    shutil.copytree(specimens / "net.bundle", folder / "net.bundle")
    spec = folder / "net.bundle" / bundles.SPEC_FILE
    spec.write_text(json.dumps(mutate_json(json.loads(spec.read_text()), rng)))
    return bundles.load(folder / "net.bundle")


def _bundle_bytes(specimens: Path, folder: Path, rng: random.Random) -> Any:
    shutil.copytree(specimens / "net.bundle", folder / "net.bundle")
    files = sorted(path for path in (folder / "net.bundle").rglob("*") if path.is_file())
    file = rng.choice(files)
    file.write_bytes(mutate_bytes(file.read_bytes(), rng))
    return bundles.load(folder / "net.bundle")


def _random_graph(specimens: Path, folder: Path, rng: random.Random) -> Any:
    """A graph of real layers with random connections."""
    network, store, _ = _cached(specimens)
    with zipfile.ZipFile(specimens / "net.keras") as archive:
        document = json.loads(archive.read("config.json"))
    layers = document["config"]["layers"]
    names = [layer["name"] for layer in layers]
    for layer in rng.sample(layers, k=rng.randint(1, len(layers))):
        for node in layer["inbound_nodes"]:
            for tensor in _tensors(node):
                if rng.random() < 0.3:
                    tensor["keras_history"][:] = [rng.choice(names), rng.choice([0, 0, 1]), 0]
    return convert(parse_model(document, network.keras), store, Source(file="net.keras"))


def _tensors(value: Any) -> list[Any]:
    if isinstance(value, dict) and "keras_history" in value:
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [found for item in items for found in _tensors(item)]


#: (case, its share of 500 cases). Cases that start a process are the slowest.
CASES: tuple[tuple[Case, int], ...] = (
    (_config_in_zip, 160),
    (_random_graph, 60),
    (_tensorflow_js_json, 80),
    (_tensorflow_js_bytes, 40),
    (_bytes_of("net.keras"), 25),
    (_bytes_of("net.h5"), 25),
    (_bytes_of("keras1.h5"), 10),
    (_members_of_zip, 20),
    (_tree_of_hdf5, 30),
    (_bundle_spec, 30),
    (_bundle_bytes, 20),
)


def _peak() -> int:
    """Peak memory of this process and its children, in bytes."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(who).ru_maxrss for who in whose) << 10


@pytest.fixture(autouse=True)
def _own_temporary_folder() -> Iterator[None]:
    before = tempfile.tempdir
    yield
    tempfile.tempdir = before


def run(specimens: Path, tmp_path: Path, factor: int) -> dict[str, int]:
    """Run every case `factor` times as often as listed; count how they end."""
    ended, failures = {"converted": 0, "refused": 0}, []
    _cached(specimens)
    before = peak = _peak()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    tempfile.tempdir = str(temporary)
    for number, (case, count) in enumerate(CASES):
        for seed in range(count * factor):
            folder = tmp_path / f"{number}-{seed}"
            folder.mkdir()
            begin = time.monotonic()
            try:
                case(specimens, folder, random.Random(f"{number}/{seed}"))
                ended["converted"] += 1
            except JaxvizError:
                ended["refused"] += 1
            except Exception as error:
                failures.append(f"case {number}, seed {seed}: {error!r}")
            if time.monotonic() - begin > LONGEST:
                failures.append(f"case {number}, seed {seed}: takes too long")
            if _peak() - peak > LARGEST:
                failures.append(f"case {number}, seed {seed}: takes {_peak() - peak} bytes")
            peak = max(peak, _peak())
            shutil.rmtree(folder)
    assert not failures, "\n".join(failures)
    assert peak - before < LARGEST, "the cases together took too much memory"
    print(f"{ended}, {(peak - before) >> 20} MB")
    gc.collect()
    assert not list(temporary.iterdir()), "temporary files are left behind"
    return ended


@pytest.mark.usefixtures("damaged_bundles")
def test_500_damaged_models(specimens: Path, tmp_path: Path) -> None:
    ended = run(specimens, tmp_path, factor=1)
    assert sum(ended.values()) == 500
    assert min(ended.values()) > 25, ended


@pytest.mark.slow
@pytest.mark.usefixtures("damaged_bundles")
def test_10000_damaged_models(specimens: Path, tmp_path: Path) -> None:
    run(specimens, tmp_path, factor=20)
