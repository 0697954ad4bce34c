"""A converted model on disk: `spec.json`, weights in Orbax' format, optional probes.

Using a bundle needs neither Keras nor TensorFlow, and a bundle holds no code. Its data may still
come from a stranger, so everything is checked on reading.
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
from typing import IO, Any, Protocol, TypeVar

import numpy as np
from pydantic import ValidationError

from jaxviz._util.filenames import encode
from jaxviz.errors import JaxvizError, ModelFileError, SpecError
from jaxviz.spec import ModelSpec, Source

#: Arrays by layer (the Keras name with its nesting) and by name within the layer.
Weights = Mapping[str, Mapping[str, np.ndarray]]

SPEC_FILE = "spec.json"
WEIGHTS_FOLDER = "weights"
PROBES_FILE = "probes.npz"
_LARGEST_SPEC = 64 << 20
# Compressed arrays are larger than their files, but at most by this ratio.
_LEAST_ALLOWANCE, _LARGEST_RATIO = 256 << 20, 20
# Probes are one or two inputs and a few numbers per layer.
_LARGEST_PROBE = 256 << 20


class _ArrayLike(Protocol):
    """An array, or the metadata of one that is not read yet."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...


_ArrayT = TypeVar("_ArrayT", bound=_ArrayLike)


@dataclass(frozen=True)
class Bundle:
    """A converted model in memory.

    Attributes:
        spec: The architecture.
        weights: NumPy arrays by layer and name, channels last.
        probes: Reference activations by node name, and the inputs that produced them by input
            name; None if none were recorded. See `converters.verify`.
    """

    spec: ModelSpec
    weights: Weights
    probes: Mapping[str, np.ndarray] | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the architecture and every weight, independent of their source file."""
        spec = self.spec.model_copy(update={"range": None, "source": Source()})
        digest = hashlib.sha256(spec.model_dump_json().encode())
        for layer in sorted(self.weights):
            for name, array in sorted(self.weights[layer].items()):
                digest.update(f"{layer}\0{name}\0{array.shape}".encode())
                digest.update(np.ascontiguousarray(array, np.float32).tobytes())
        return digest.hexdigest()

    def arrays(self) -> Weights:
        """The weights by layer and name, as `Model.arrays` returns them."""
        return self.weights

    def with_spec(self, **changes: object) -> Bundle:
        """A copy with fields of the spec replaced, such as `range` or `labels`.

        Example:
            >>> import jaxviz
            >>> bundle = jaxviz.load_bundle(jaxviz.example("galaxy_cnn.keras"))
            >>> bundle.with_spec(name="mine").spec.name
            'mine'
        """
        fields: dict[str, Any] = {name: getattr(self.spec, name) for name in ModelSpec.model_fields}
        return replace(self, spec=ModelSpec(**{**fields, **changes}))


def check_weights(spec: ModelSpec, weights: Weights) -> None:
    """Raise SpecError if weights are missing or of the wrong shape; the message lists them all."""
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
    """Write a bundle, whole or not at all; an older bundle at the path is replaced.

    Args:
        bundle: The model.
        path: The folder to write.

    Returns:
        The path.

    Raises:
        ModelFileError: If the path exists and is not a bundle.
        SpecError: If the weights do not match the architecture.
    """
    import orbax.checkpoint as ocp

    path = Path(path)
    if path.exists() and not is_bundle(path):
        raise ModelFileError(
            f"cannot write the bundle {str(path)!r}: the path exists and is not a bundle",
            hint="Choose another path with -o.",
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
    """Whether a path is a folder with a spec."""
    return (Path(path) / SPEC_FILE).is_file()


def load(path: str | os.PathLike[str]) -> Bundle:
    """Read and check a bundle.

    Args:
        path: The bundle's folder.

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
    """Refuse everything but plain files: a link could lead anywhere, and a pipe never ends."""
    for file in folder.rglob("*"):
        if file.is_symlink() or not (file.is_file() or file.is_dir()):
            raise ModelFileError(
                f"{str(folder)!r} holds {file.name!r}, which is neither a file nor a folder"
            )


def _read_spec(file: Path) -> ModelSpec:
    if file.stat().st_size > _LARGEST_SPEC:
        raise ModelFileError(
            f"{str(file)!r} has {file.stat().st_size} bytes, expected at most {_LARGEST_SPEC}"
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
    # Orbax turns keys into paths, and a Keras name may hold characters that a path must not.
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
    except Exception as error:  # Orbax and TensorStore raise many types on damaged folders
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelFileError(f"the weights in {str(folder)!r} cannot be read: {first}") from error
    return {
        layer: {name: np.asarray(array) for name, array in arrays.items()}
        for layer, arrays in _by_layer(spec, restored).items()
    }


def _by_layer(spec: ModelSpec, stored: Mapping[str, _ArrayT]) -> dict[str, dict[str, _ArrayT]]:
    """The stored array of each weight of the spec, by layer and name."""
    found: dict[str, dict[str, _ArrayT]] = {}
    for node in spec.nodes:
        for name in node.weights.values():
            key = f"{encode(node.layer)}.{encode(name)}"
            if key in stored:
                found.setdefault(node.layer, {})[name] = stored[key]
    return found


def _check_sizes(folder: Path, stated: Mapping[str, _ArrayLike]) -> None:
    """Refuse arrays that claim more than their files can hold, before anything is allocated."""
    held = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    claimed = sum(math.prod(array.shape) * array.dtype.itemsize for array in stated.values())
    if claimed > max(_LEAST_ALLOWANCE, _LARGEST_RATIO * held):
        raise ModelFileError(
            f"the weights in {str(folder)!r} claim {claimed} bytes, but their files hold {held}"
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
    """Raise ValueError if an array's header claims more than its file holds."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
    if read is None:
        raise ValueError(f"an array has format version {version}, expected (1, 0)")
    shape, _, dtype = read(member)
    if dtype.kind != "f" or math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"an array claims shape {shape} of {dtype} in {size} bytes")
