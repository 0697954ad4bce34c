"""A converted model on disk: `spec.json`, weights in Orbax' format, optional probes.

A bundle needs neither Keras nor TensorFlow to use and holds nothing that is executed.
It is data from elsewhere all the same, so everything in it is checked when it is read.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from pydantic import ValidationError

from jaxviz._util.filenames import encode
from jaxviz.errors import JaxvizError, ModelFileError, SpecError
from jaxviz.spec import ModelSpec, Source

#: Arrays by layer (the Keras name, with its nesting) and by name within the layer.
Weights = Mapping[str, Mapping[str, np.ndarray]]

SPEC_FILE = "spec.json"
WEIGHTS_FOLDER = "weights"
PROBES_FILE = "probes.npz"
_LARGEST_SPEC = 64 << 20
#: Compression makes arrays larger than their files, but not without bound.
_LEAST_ALLOWANCE, _LARGEST_RATIO = 256 << 20, 20
#: Probes are an input or two, and a few numbers a layer.
_LARGEST_PROBE = 256 << 20


@dataclass(frozen=True)
class Bundle:
    """A converted model in memory.

    Attributes:
        spec: The architecture.
        weights: NumPy arrays by layer and name, channels last.
        probes: Reference activations by node name, and the inputs that gave them
            by input name; empty where none were recorded. See `converters.verify`.
    """

    spec: ModelSpec
    weights: Weights
    probes: Mapping[str, np.ndarray] | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the architecture and every weight, whatever file they came from."""
        spec = self.spec.model_copy(update={"range": None, "source": Source()})
        digest = hashlib.sha256(spec.model_dump_json().encode())
        for layer in sorted(self.weights):
            for name, array in sorted(self.weights[layer].items()):
                digest.update(f"{layer}\0{name}\0{array.shape}".encode())
                digest.update(np.ascontiguousarray(array, np.float32).tobytes())
        return digest.hexdigest()

    def arrays(self) -> Weights:
        """The weights by layer and name, as `Model.arrays` gives them."""
        return self.weights

    def with_spec(self, **changes: Any) -> Bundle:
        """The same model with parts of its spec replaced (its range, its labels, …)."""
        fields = {name: getattr(self.spec, name) for name in type(self.spec).model_fields}
        return replace(self, spec=ModelSpec(**{**fields, **changes}))


def check_weights(spec: ModelSpec, weights: Weights) -> None:
    """Raise SpecError naming every weight that is missing or of the wrong shape."""
    problems = []
    for node, role, expected in spec.weight_shapes():
        name = node.weights.get(role)
        array = None if name is None else weights.get(node.layer, {}).get(name)
        if array is None:
            problems.append(f"{node.name}  {role} is missing, expected shape {expected}")
        elif len(array.shape) != len(expected) or any(
            e is not None and e != f for e, f in zip(expected, array.shape, strict=True)
        ):
            problems.append(
                f"{node.name}  {role} has shape {tuple(array.shape)}, expected {expected}"
            )
    if problems:
        raise SpecError(
            f"the weights do not match the architecture of {spec.name!r}", details=problems
        )


def save(bundle: Bundle, path: str | os.PathLike[str]) -> Path:
    """Write a bundle, whole or not at all; an older bundle of that name is replaced.

    Raises:
        ModelFileError: If something that is no bundle is in the way.
    """
    import orbax.checkpoint as ocp

    path = Path(path)
    if path.exists() and not is_bundle(path):
        raise ModelFileError(
            f"will not replace {str(path)!r}: it is not a bundle", hint="Choose another -o."
        )
    check_weights(bundle.spec, bundle.weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        (temporary / SPEC_FILE).write_text(bundle.spec.model_dump_json(indent=1), encoding="utf-8")
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save((temporary / WEIGHTS_FOLDER).absolute(), _flat(bundle.weights))
        if bundle.probes is not None:
            probes: dict[str, Any] = {encode(k): v for k, v in bundle.probes.items()}
            np.savez_compressed(temporary / PROBES_FILE, **probes)
        temporary.chmod(0o755)
        if path.exists():
            shutil.rmtree(path)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def is_bundle(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder that looks like a bundle."""
    return (Path(path) / SPEC_FILE).is_file()


def load(path: str | os.PathLike[str]) -> Bundle:
    """Read and check a bundle.

    Raises:
        ModelFileError: If it is missing or damaged.
        SpecError: If its weights do not match its architecture.
    """
    path = Path(path)
    if not is_bundle(path):
        raise ModelFileError(f"{str(path)!r} is not a bundle: it has no {SPEC_FILE}")
    _check_files(path)
    spec = _read_spec(path / SPEC_FILE)
    weights = _read_weights(path / WEIGHTS_FOLDER, spec)
    check_weights(spec, weights)
    return Bundle(spec, weights, _read_probes(path / PROBES_FILE, spec))


def _check_files(folder: Path) -> None:
    """Plain files alone: a link could lead anywhere, and a pipe be read forever."""
    for file in folder.rglob("*"):
        if file.is_symlink() or not (file.is_file() or file.is_dir()):
            raise ModelFileError(
                f"{str(folder)!r} holds {file.name!r}, which is neither a file nor a folder"
            )


def _read_spec(file: Path) -> ModelSpec:
    if file.stat().st_size > _LARGEST_SPEC:
        raise ModelFileError(
            f"{str(file)!r} is larger than any architecture ({_LARGEST_SPEC} bytes)"
        )
    try:
        return ModelSpec.model_validate(json.loads(file.read_bytes()))
    except ValidationError as error:
        details = [
            f"{'.'.join(map(str, e['loc'])) or 'spec'}: {e['msg']}" for e in error.errors()[:20]
        ]
        raise ModelFileError(f"{str(file)!r} is not a valid spec", details=details) from error
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{str(file)!r} is damaged: {error}") from error


def _flat(weights: Weights) -> dict[str, np.ndarray]:
    # Orbax makes paths of its keys, and a Keras name may hold anything a path must not.
    return {
        f"{encode(layer)}.{encode(name)}": np.asarray(array)
        for layer, arrays in weights.items()
        for name, array in arrays.items()
    }


def _read_weights(folder: Path, spec: ModelSpec) -> Weights:
    import orbax.checkpoint as ocp

    try:
        with ocp.StandardCheckpointer() as checkpointer:
            stated = dict(checkpointer.metadata(folder.absolute()).item_metadata)
            check_weights(spec, _by_layer(spec, stated))
            _check_sizes(folder, stated)
            restored = checkpointer.restore(folder.absolute())
    except JaxvizError:
        raise
    except Exception as error:  # Orbax and TensorStore raise a score of types on damaged folders
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelFileError(f"the weights in {str(folder)!r} cannot be read: {first}") from error
    return {
        layer: {name: np.asarray(array) for name, array in arrays.items()}
        for layer, arrays in _by_layer(spec, restored).items()
    }


def _by_layer(spec: ModelSpec, stored: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What is stored for each weight of the spec."""
    found: dict[str, dict[str, Any]] = {}
    for node in spec.nodes:
        for name in node.weights.values():
            key = f"{encode(node.layer)}.{encode(name)}"
            if key in stored:
                found.setdefault(node.layer, {})[name] = stored[key]
    return found


def _check_sizes(folder: Path, stated: Mapping[str, Any]) -> None:
    """Nothing is allocated for arrays that claim more than their files can hold."""
    held = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    claimed = sum(math.prod(array.shape) * array.dtype.itemsize for array in stated.values())
    if claimed > max(_LEAST_ALLOWANCE, _LARGEST_RATIO * held):
        raise ModelFileError(
            f"the weights in {str(folder)!r} claim {claimed} bytes, their files hold {held}"
        )


def _read_probes(file: Path, spec: ModelSpec) -> Mapping[str, np.ndarray] | None:
    if not file.is_file():
        return None
    try:
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                if info.file_size > _LARGEST_PROBE:
                    raise ValueError(f"{info.filename} claims {info.file_size} bytes")
                with archive.open(info) as member:
                    _check_header(member, info.file_size)
        with np.load(file, allow_pickle=False) as stored:
            names = [*(i.name for i in spec.inputs), *spec.layer_names]
            return {name: stored[encode(name)] for name in names if encode(name) in stored}
    except (
        ValueError, OSError, KeyError, EOFError, NotImplementedError, RuntimeError,
        zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise ModelFileError(f"the probes in {str(file)!r} cannot be read: {error}") from error


def _check_header(member: IO[bytes], size: int) -> None:
    """Raise ValueError unless an array's header claims what its file holds."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
    if read is None:
        raise ValueError(f"an array is stored as version {version}")
    shape, _, dtype = read(member)
    if dtype.kind != "f" or math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"an array claims shape {shape} of {dtype} in {size} bytes")
