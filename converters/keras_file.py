"""Model files, read as neutral networks without Keras; nothing in them is executed."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path

from converters.config import parse_model, parse_version
from converters.document import Json, parse_json
from converters.hdf5 import SIGNATURE, Hdf5, read_hdf5
from converters.kernels import OldKernels
from converters.tfjs import is_tfjs, read_json, read_tfjs
from converters.weights import (
    CONTAINERS,
    Keras3Store,
    LegacyStore,
    NamedArray,
    OpenedModel,
    Store,
)
from jaxviz.errors import ModelFileError
from jaxviz.spec import Source

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_LARGEST_TEXT = 64 << 20
#: Largest ratio of compression, because weights hardly compress.
_LARGEST_RATIO = 200


def sniff(path: Path) -> str | None:
    """The kind of a file or folder, by its content and never by its name.

    Returns:
        `zip` (.keras), `hdf5`, `json` (an architecture, or TensorFlow.js), `tfjs` (a folder
        with a model.json), `saved_model` (a folder with a saved_model.pb), or None.
    """
    if path.is_dir():
        files = {"tfjs": "model.json", "saved_model": "saved_model.pb"}
        return next((kind for kind, name in files.items() if (path / name).is_file()), None)
    if path.exists() and not path.is_file():
        return None  # reading a pipe would wait for ever
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError:
        return None
    if start[:8] == SIGNATURE:
        return "hdf5"
    if start[:4] == b"PK\x03\x04":
        return "zip"
    return "json" if start.lstrip()[:1] == b"{" else None


def read(path: Path, weights: Path | None = None) -> OpenedModel:
    """Read a model file, or an architecture and a file of weights.

    Args:
        path: A model, or an architecture as JSON.
        weights: The file of weights, if they are not in the model file.

    Raises:
        ModelFileError: If a file does not exist, is damaged, or is not a model.
    """
    for file in (path, *([weights] if weights is not None else [])):
        if not file.exists():
            raise ModelFileError(f"there is no file {str(file)!r}")
    try:
        return _read(path, weights)
    except OSError as error:
        raise ModelFileError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except RecursionError:
        raise ModelFileError(f"{path.name!r} is nested too deeply") from None


def _read(path: Path, weights: Path | None) -> OpenedModel:
    kind = sniff(path)
    if kind == "tfjs":
        path, kind = path / "model.json", "json"
    if kind == "json":
        return _read_json(path, weights)
    if kind == "hdf5":
        opened = _read_hdf5_model(path)
    elif kind == "zip":
        opened = _read_zip(path)
    elif kind == "saved_model":
        raise ModelFileError(
            f"{str(path)!r} is a SavedModel, and loading it can run the code in it",
            hint="If you trust the file, add --trust (needs TensorFlow).",
        )
    elif path.is_dir():
        raise ModelFileError(
            f"{str(path)!r} is a folder without a model: "
            "expected a model.json or a saved_model.pb in it"
        )
    else:
        found = "an empty file" if path.stat().st_size == 0 else "another format"
        raise ModelFileError(
            f"{str(path)!r} is not a Keras model: expected a .keras zip, HDF5 or JSON, "
            f"found {found}"
        )
    return opened if weights is None else opened._replace(store=read_weights(weights))


def _read_json(path: Path, weights: Path | None) -> OpenedModel:
    document = read_json(path)
    if isinstance(document, dict) and is_tfjs(document):
        if weights is None:
            return read_tfjs(path, document)
        document = document["modelTopology"]
    if isinstance(document, dict) and "model_config" in document:
        document = document["model_config"]
    stated = document.get("keras_version") if isinstance(document, dict) else None
    if isinstance(document, dict) and "class_name" not in document and "layers" in document:
        # `model.get_config()` leaves the class name out.
        class_name = "Functional" if "input_layers" in document else "Sequential"
        document = {"class_name": class_name, "config": document}
    network = parse_model(document, parse_version(stated))
    if weights is None:
        raise ModelFileError(
            f"{path.name!r} holds an architecture but no weights",
            hint="Add the file of weights: --weights FILE.",
        )
    return OpenedModel(network, read_weights(weights), _source(path, stated))


def read_weights(path: Path) -> Store:
    """The arrays of a weights file, or of any model file.

    Args:
        path: HDF5, or a `.keras` file.

    Raises:
        ModelFileError: If the file holds no weights of a Keras model.
    """
    kind = sniff(path)
    if kind == "zip":
        return _read_zip(path).store
    if kind != "hdf5":
        raise ModelFileError(
            f"{path.name!r} is not a file of weights: expected HDF5 or a .keras zip"
        )
    file = read_hdf5(path, path.name)
    base = "model_weights" if "model_weights" in file.groups else ""
    if file.attribute_list(base, "layer_names"):
        return legacy_store(file)
    if any(name in file.groups for name in CONTAINERS):
        return Keras3Store(file)
    raise ModelFileError(
        f"{path.name!r} holds no weights of a Keras model: "
        f"expected 'layer_names', or a group called {' or '.join(CONTAINERS)}"
    )


def _read_hdf5_model(path: Path) -> OpenedModel:
    file = read_hdf5(path, path.name)
    root = file.groups[""]
    text = root.get("model_config")
    if not isinstance(text, str):
        raise ModelFileError(
            f"{path.name!r} holds weights but no architecture",
            hint="Convert the architecture, and add this file: --weights FILE.",
        )
    weights = file.groups.get("model_weights", root)
    stated = root.get("keras_version", weights.get("keras_version"))
    document = parse_json(text, f"the configuration in {path.name!r}")
    network = parse_model(document, parse_version(stated))
    return OpenedModel(network, legacy_store(file), _source(path, stated))


def legacy_store(file: Hdf5) -> Store:
    """The arrays of a Keras 1 or 2 HDF5 file: one list for each top-level layer."""
    base = "model_weights" if "model_weights" in file.groups else ""
    prefix = f"{base}/" if base else ""
    groups = {}
    for layer in file.attribute_list(base, "layer_names"):
        names = file.attribute_list(f"{prefix}{layer}", "weight_names")
        paths = [(name, f"{prefix}{layer}/{name}") for name in names]
        groups[layer] = [NamedArray(n, file.arrays[p]) for n, p in paths if p in file.arrays]
    theano = "theano" in (file.groups[place].get("backend") for place in (base, ""))
    return OldKernels(LegacyStore(groups), theano)


def _read_zip(path: Path) -> OpenedModel:
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path.name)
            missing = [name for name in (_CONFIG, _WEIGHTS) if name not in members]
            if missing:
                raise ModelFileError(
                    f"{path.name!r} is a zip but not a Keras model: it has no {missing[0]}"
                )
            config = parse_json(_text(archive, members[_CONFIG]), f"{_CONFIG} of {path.name!r}")
            metadata: Json = {}
            if _METADATA in members:
                metadata = parse_json(
                    _text(archive, members[_METADATA]), f"{_METADATA} of {path.name!r}"
                )
            file = _weights(archive, members[_WEIGHTS], path.name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ModelFileError(f"{path.name!r} is damaged: {error}") from None
    stated = metadata.get("keras_version") if isinstance(metadata, dict) else None
    network = parse_model(config, parse_version(stated))
    return OpenedModel(network, Keras3Store(file), _source(path, stated))


def _members(archive: zipfile.ZipFile, shown: str) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if info.filename in members:
            raise ModelFileError(f"{shown!r} holds two files called {info.filename!r}")
        members[info.filename] = info
    return members


def _text(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.file_size > _LARGEST_TEXT:
        raise ModelFileError(
            f"{info.filename} claims {info.file_size} bytes, expected at most {_LARGEST_TEXT}"
        )
    with archive.open(info) as member:
        return member.read(_LARGEST_TEXT)


def _weights(archive: zipfile.ZipFile, info: zipfile.ZipInfo, shown: str) -> Hdf5:
    """The weights, which a temporary file holds while they are read."""
    if info.file_size > _LARGEST_RATIO * max(info.compress_size, 1 << 16):
        raise ModelFileError(
            f"{info.filename} in {shown!r} claims {info.file_size} bytes, "
            f"far more than {info.compress_size} compressed bytes can hold"
        )
    with tempfile.NamedTemporaryFile(prefix="jaxviz-", suffix=".h5") as copy:
        with archive.open(info) as member:
            shutil.copyfileobj(member, copy, 1 << 20)
        copy.flush()
        return read_hdf5(Path(copy.name), shown)


def _source(path: Path, stated: object) -> Source:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    version = f"keras {stated}" if isinstance(stated, str) else "keras"
    return Source(file=path.name, sha256=digest, framework=version[:100])
