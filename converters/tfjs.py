"""TensorFlow.js layers models: `model.json` and the weight shards beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from converters.config import parse_json, parse_model, parse_version
from converters.network import Layer, Network
from converters.weights import Array, SlotsOf, Store, Stored, by_order, leaves_of
from jaxviz.errors import ModelFileError
from jaxviz.spec import Source

_DTYPES = {"float32": "<f4", "float16": "<f2", "int32": "<i4", "uint8": "|u1", "uint16": "<u2"}
_LARGEST_TEXT = 64 << 20


def is_tfjs(document: Any) -> bool:
    """Whether a JSON document is a TensorFlow.js model rather than a bare architecture."""
    return isinstance(document, dict) and "modelTopology" in document


def read_json(path: Path) -> Any:
    """A JSON file of bounded size."""
    if path.stat().st_size > _LARGEST_TEXT:
        raise ModelFileError(f"{path.name!r} is larger than any architecture")
    return parse_json(path.read_bytes(), repr(path.name))


def read_tfjs(path: Path, document: Mapping[str, Any]) -> tuple[Network, Store, Source]:
    """Read a layers model.

    Args:
        path: Its `model.json`; the shards are looked for beside it.
        document: What that holds, decoded.

    Raises:
        ModelFileError: If it is a graph model, or something is missing or damaged.
    """
    topology = document["modelTopology"]
    if document.get("format") == "graph-model" or not isinstance(topology, dict):
        raise ModelFileError(
            f"{path.name!r} is a TensorFlow.js graph model, which has no layers any more",
            hint="Convert from the Keras model it was made of, or from a layers model.",
        )
    model = topology.get("model_config", topology)
    stated = topology.get("keras_version")
    # Written in JavaScript, it follows Keras 2.
    version = parse_version(stated) if parse_version(stated) > (0,) else (2,)
    network = parse_model(model, version)
    digest = hashlib.sha256(path.read_bytes())
    arrays = dict(_arrays(path, document.get("weightsManifest"), digest))
    text = str(stated)[:80]
    source = Source(file=path.name, sha256=digest.hexdigest(), framework=f"tensorflow.js {text}")
    return network, NamedStore(arrays), source


def _arrays(path: Path, manifest: Any, digest: Any) -> Iterator[tuple[str, Array]]:
    if not isinstance(manifest, list):
        raise ModelFileError(f"{path.name!r} lists no weights")
    for group in manifest:
        try:
            files = [_shard(path.parent, name) for name in group["paths"]]
            entries = [_entry(entry) for entry in group["weights"]]
        except (TypeError, KeyError) as error:
            raise ModelFileError(f"the weights of {path.name!r} are unreadable: {error}") from None
        sizes = [file.stat().st_size for file in files]
        for file in files:
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        offset, total = 0, sum(sizes)
        for name, shape, kind, scale, low in entries:
            array = ShardedArray(shape, kind, tuple(files), tuple(sizes), offset, scale, low)
            offset += array.size
            if offset > total:
                raise ModelFileError(f"{name!r} claims more than the shards hold ({total} bytes)")
            yield name, array


def _shard(folder: Path, name: Any) -> Path:
    """A file beside `model.json`, whatever its name tries to be."""
    if not isinstance(name, str) or PurePosixPath(name).name != name or "\\" in name or not name:
        raise ModelFileError(f"the shard name {str(name)[:80]!r} leads out of the folder")
    path = folder / name
    if not path.is_file() or path.is_symlink():
        raise ModelFileError(f"the weight shard {name!r} is missing")
    return path


def _entry(entry: Any) -> tuple[str, tuple[int, ...], str, float | None, float]:
    name, shape, kind = str(entry["name"]), entry["shape"], entry["dtype"]
    scale, low = None, 0.0
    quantized = entry.get("quantization")
    if isinstance(quantized, dict):
        kind = quantized.get("dtype")
        if kind != "float16":
            scale, low = float(quantized["scale"]), float(quantized["min"])
    if not isinstance(shape, list) or not all(type(n) is int and 0 <= n < 1 << 40 for n in shape):
        raise ModelFileError(f"{name!r} has the impossible shape {str(shape)[:80]}")
    if kind not in _DTYPES:
        raise ModelFileError(f"{name!r} is of the unknown type {str(kind)[:40]!r}")
    return name, tuple(shape), _DTYPES[kind], scale, low


@dataclass(frozen=True)
class ShardedArray:
    """An array that lies in one shard or across several.

    Attributes:
        shape: Its shape.
        dtype: How it is stored.
        files: The shards of its group, in order.
        sizes: Their sizes in bytes.
        offset: Where it starts in all of them together.
        scale: Of a quantized array; value = stored · scale + low.
        low: See `scale`.
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
        """Bytes."""
        total = np.dtype(self.dtype).itemsize
        for n in self.shape:
            total *= n
        return total

    def load(self) -> np.ndarray:
        """The values as float32."""
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
        # In float64, as JavaScript does: rounded twice, small weights would be off by 1e-6.
        return (values * np.float64(self.scale) + self.low).astype(np.float32)


class NamedStore:
    """Arrays known by names such as `block1/conv/kernel`."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = arrays

    def arrays(self, network: Network, slots_of: SlotsOf) -> Iterator[tuple[Layer, Stored]]:
        """To each layer those that have its name in theirs; among these by name, else by order."""
        leaves = list(leaves_of(network.layers))
        own: dict[str, list[tuple[str, Array]]] = {leaf.name: [] for leaf in leaves}
        for name, array in self._arrays.items():
            owner = _owner(name, own)
            if owner is not None:
                own[owner].append((name.split("/")[-1].split(":")[0], array))
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


def _owner(name: str, layers: Mapping[str, Sequence[Any]]) -> str | None:
    """The layer whose name, which may hold slashes, is the longest part of an array's name."""
    parts = name.split("/")[:-1]
    runs = [
        "/".join(parts[start:end])
        for end in range(len(parts), 0, -1)
        for start in range(end)
    ]  # fmt: skip
    return next((run for run in runs if run in layers), None)
