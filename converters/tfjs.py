"""TensorFlow.js layers models: `model.json`, and weight shards in the same folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from converters.config import parse_model, parse_version
from converters.document import Json, need, parse_json
from converters.network import Layer, Network
from converters.weights import Array, NamedArray, OpenedModel, SlotsOf, Stored, by_order, leaves_of
from jaxviz.errors import ModelFileError
from jaxviz.spec import Source

_DTYPES = {"float32": "<f4", "float16": "<f2", "int32": "<i4", "uint8": "|u1", "uint16": "<u2"}
_LARGEST_TEXT = 64 << 20
_LARGEST_AXIS = 1 << 40


def is_tfjs(document: Json) -> bool:
    """Whether a JSON document is a TensorFlow.js model rather than a bare architecture."""
    return isinstance(document, dict) and "modelTopology" in document


def read_json(path: Path) -> Json:
    """Read a JSON file of bounded size.

    Raises:
        ModelFileError: If the file is too large, or not JSON.
    """
    size = path.stat().st_size
    if size > _LARGEST_TEXT:
        raise ModelFileError(
            f"{path.name!r} is too large for an architecture: found {size} bytes, "
            f"expected at most {_LARGEST_TEXT}"
        )
    return parse_json(path.read_bytes(), repr(path.name))


def read_tfjs(path: Path, document: Mapping[str, Json]) -> OpenedModel:
    """Read a layers model.

    Args:
        path: The `model.json`; the shards lie in the same folder.
        document: The decoded content of `model.json`.

    Raises:
        ModelFileError: If the model is a graph model, or if a part is missing or damaged.
    """
    topology = document["modelTopology"]
    if document.get("format") == "graph-model" or not isinstance(topology, dict):
        raise ModelFileError(
            f"{path.name!r} is a TensorFlow.js graph model, which has no layers any more",
            hint="Convert the Keras model that it was made from, or a layers model.",
        )
    model = topology.get("model_config", topology)
    stated = topology.get("keras_version")
    # Models written in JavaScript state no version, and follow Keras 2.
    version = parse_version(stated) if parse_version(stated) > (0,) else (2,)
    network = parse_model(model, version)
    manifest = document.get("weightsManifest")
    if not isinstance(manifest, list):
        raise ModelFileError(f"{path.name!r} lists no weights: expected a 'weightsManifest'")
    digest = hashlib.sha256(path.read_bytes())
    arrays: dict[str, Array] = {}
    for entry in manifest:
        group = _group(path, entry)
        for file in group.files:
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        arrays |= {named.name: named.array for named in _arrays(group)}
    framework = f"tensorflow.js {str(stated)[:80]}"
    source = Source(file=path.name, sha256=digest.hexdigest(), framework=framework)
    return OpenedModel(network, NamedStore(arrays), source)


@dataclass(frozen=True)
class _Entry:
    """One array in the manifest of weights.

    Attributes:
        name: Name of the array.
        shape: Shape of the array.
        dtype: NumPy's name of the stored type.
        scale: Scale of a quantized array, None for others; value = stored · scale + low.
        low: Offset of a quantized array.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    low: float = 0.0


class _Group(NamedTuple):
    """The shards of one group, in order, and the arrays in them."""

    files: tuple[Path, ...]
    entries: list[_Entry]


def _group(path: Path, group: Json) -> _Group:
    try:
        group = need(group, dict, "a group of weights")
        files = tuple(_shard(path.parent, name) for name in need(group["paths"], list, "its paths"))
        return _Group(
            files, [_entry(entry) for entry in need(group["weights"], list, "its arrays")]
        )
    except (TypeError, KeyError, ValueError) as error:
        raise ModelFileError(f"cannot read the weights of {path.name!r}: {error}") from None


def _arrays(group: _Group) -> Iterator[NamedArray]:
    sizes = tuple(file.stat().st_size for file in group.files)
    offset, total = 0, sum(sizes)
    for entry in group.entries:
        array = ShardedArray(
            entry.shape, entry.dtype, group.files, sizes, offset, entry.scale, entry.low
        )
        offset += array.size
        if offset > total:
            raise ModelFileError(
                f"array {entry.name!r} ends at byte {offset}, but its shards hold {total} bytes"
            )
        yield NamedArray(entry.name, array)


def _shard(folder: Path, name: Json) -> Path:
    """A file in the folder of `model.json`; any other path is refused."""
    if not isinstance(name, str) or PurePosixPath(name).name != name or "\\" in name or not name:
        raise ModelFileError(f"the shard name {str(name)[:80]!r} leads out of the model's folder")
    path = folder / name
    if not path.is_file() or path.is_symlink():
        raise ModelFileError(f"the weight shard {name!r} is missing, or is not a plain file")
    return path


def _entry(entry: Json) -> _Entry:
    entry = need(entry, dict, "an array in the manifest of weights")
    name, shape, kind = str(entry["name"]), entry["shape"], entry["dtype"]
    scale, low = None, 0.0
    quantized = entry.get("quantization")
    if isinstance(quantized, dict):
        kind = quantized.get("dtype")
        if kind != "float16":
            scale, low = _number(quantized["scale"]), _number(quantized["min"])
    listed = shape if isinstance(shape, list) else [shape]
    sizes = tuple(n for n in listed if type(n) is int and 0 <= n < _LARGEST_AXIS)
    if shape != list(sizes):
        raise ModelFileError(f"array {name!r} has the impossible shape {str(shape)[:80]}")
    if not isinstance(kind, str) or kind not in _DTYPES:
        raise ModelFileError(
            f"array {name!r} has the unknown type {str(kind)[:40]!r}: "
            f"expected one of {', '.join(_DTYPES)}"
        )
    return _Entry(name, sizes, _DTYPES[kind], scale, low)


def _number(value: Json) -> float:
    if not isinstance(value, int | float | str):
        raise TypeError(f"expected a number, found {str(value)[:80]!r}")
    return float(value)


@dataclass(frozen=True)
class ShardedArray:
    """An array in one shard, or across several.

    Attributes:
        shape: Shape of the array.
        dtype: NumPy's name of the stored type.
        files: The shards of the array's group, in order.
        sizes: Sizes of the shards, in bytes.
        offset: Position of the first byte in the concatenated shards.
        scale: Scale of a quantized array, None for others; value = stored · scale + low.
        low: Offset of a quantized array.
    """

    shape: tuple[int, ...]
    dtype: str
    files: tuple[Path, ...]
    sizes: tuple[int, ...]
    offset: int
    scale: float | None = None
    low: float = 0.0

    @property
    def size(self) -> int:
        """Number of stored bytes."""
        total = np.dtype(self.dtype).itemsize
        for n in self.shape:
            total *= n
        return total

    def load(self) -> np.ndarray:
        """Read the values, as float32."""
        pieces, start, left = [], self.offset, self.size
        for file, size in zip(self.files, self.sizes, strict=True):
            if left and start < size:
                count = min(left, size - start)
                pieces.append(np.fromfile(file, np.uint8, count, offset=start))
                start, left = start + count, left - count
            start -= size
        raw = pieces[0] if len(pieces) == 1 else np.concatenate([np.empty(0, np.uint8), *pieces])
        values = raw.view(self.dtype).reshape(self.shape)
        if self.scale is None:
            return values.astype(np.float32)
        # JavaScript computes in float64. Rounding twice in float32 would err by 1e-6.
        return (values * np.float64(self.scale) + self.low).astype(np.float32)


class NamedStore:
    """Arrays with names such as `block1/conv/kernel`.

    Args:
        arrays: The arrays by name.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = arrays

    def arrays(self, network: Network, slots_of: SlotsOf) -> Iterator[tuple[Layer, Stored]]:
        """Match arrays whose path contains the layer's name; by last part, else by order."""
        leaves = list(leaves_of(network.layers))
        own: dict[str, list[NamedArray]] = {leaf.name: [] for leaf in leaves}
        for name, array in self._arrays.items():
            owner = _owner(name, own)
            if owner is not None:
                own[owner].append(NamedArray(name.split("/")[-1].split(":")[0], array))
        for leaf in leaves:
            slots = slots_of(leaf)
            if slots is None:
                continue
            found = dict(own[leaf.name])
            if len(found) == len(own[leaf.name]) and all(slot.name in found for slot in slots):
                shapes = [tuple(array.shape) for array in found.values()]
                yield leaf, Stored({slot.name: found[slot.name] for slot in slots}, shapes)
            else:
                yield from by_order([leaf], slots_of, own[leaf.name])


def _owner(name: str, layers: Mapping[str, Sized]) -> str | None:
    """The layer whose name, which may hold slashes, is the longest part of an array's name."""
    parts = name.split("/")[:-1]
    runs = [
        "/".join(parts[start:end])
        for end in range(len(parts), 0, -1)
        for start in range(end)
    ]  # fmt: skip
    return next((run for run in runs if run in layers), None)
