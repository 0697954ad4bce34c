"""Run as a separate process: reads one HDF5 file and writes what it holds as plain bytes.

libhdf5 can hang, crash or allocate without end on a damaged file, so nothing else of
jaxviz opens one. This file is run by path, isolated (`python -I`), and imports nothing of
jaxviz. It writes `index.json` (attributes of groups, table of arrays) and `arrays.bin`.

    python -I hdf5_child.py FILE FOLDER SECONDS BYTES
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

_SKIPPED = {"optimizer_weights", "optimizer", "training_config"}
_MOST_OBJECTS = 200_000
_DEEPEST = 64
_KINDS = "fiu"  # floats, integers, unsigned


class _Refused(Exception):
    """What the file holds is nothing that Keras writes."""


def _limit(seconds: int, memory: int) -> None:
    try:
        import resource
    except ImportError:  # Windows: the parent's clock is the only limit
        return
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _text(value: Any) -> Any:
    """An attribute as JSON: text, numbers, or lists of them."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list | tuple):
        return [_text(item) for item in value]
    if isinstance(value, str | int | float | bool):
        return value
    raise _Refused("an attribute holds something that is neither text nor numbers")


class _Walk:
    def __init__(self, h5py: Any, output: Any, most_bytes: int) -> None:
        self.h5py, self.output, self.left = h5py, output, most_bytes
        self.groups: dict[str, dict[str, Any]] = {}
        self.arrays: dict[str, dict[str, Any]] = {}
        self.seen: set[Any] = set()
        self.position = 0

    def group(self, group: Any, path: str, depth: int) -> None:
        if depth > _DEEPEST or len(self.seen) > _MOST_OBJECTS:
            raise _Refused("it holds more, or deeper nested, objects than any model")
        address = self.h5py.h5o.get_info(group.id).addr
        if address in self.seen:
            raise _Refused(f"{path!r} links back to something already read")
        self.seen.add(address)
        self.groups[path] = {name: _text(group.attrs[name]) for name in group.attrs}
        for name in group:
            inner = f"{path}/{name}" if path else name
            if not path and name in _SKIPPED:
                continue
            link = group.get(name, getlink=True)
            if not isinstance(link, self.h5py.HardLink):
                raise _Refused(f"{inner!r} is a link to elsewhere")
            item = group[name]
            if isinstance(item, self.h5py.Group):
                self.group(item, inner, depth + 1)
            elif isinstance(item, self.h5py.Dataset):
                self.dataset(item, inner)
            else:
                raise _Refused(f"{inner!r} is neither a group nor an array")

    def dataset(self, item: Any, path: str) -> None:
        if item.is_virtual or item.external:
            raise _Refused(f"{path!r} keeps its values in another file")
        bfloat16 = _text(item.attrs["dtype"]) == "bfloat16" if "dtype" in item.attrs else False
        dtype = item.dtype
        if item.shape is None or not (dtype.kind in _KINDS or (bfloat16 and dtype.itemsize == 2)):
            return  # text and settings of other layers; a layer that needs it says what is missing
        size = item.dtype.itemsize
        for n in item.shape:
            size *= n
        self.left -= size
        if self.left < 0:
            raise _Refused(f"{path!r} claims to hold more than the file could ({size} bytes)")
        if size and item.chunks is None and item.id.get_storage_size() < size:
            raise _Refused(f"{path!r} claims {size} bytes that the file does not hold")
        array = item[()]
        self.output.write(memoryview(array).cast("B") if array.ndim and size else array.tobytes())
        self.arrays[path] = {
            "shape": list(item.shape),
            "dtype": "bfloat16" if bfloat16 else dtype.str,
            "offset": self.position,
        }
        self.position += size


def main(file: str, folder: str, seconds: int, most_bytes: int) -> None:
    """Read the file; what goes wrong is told in `index.json` as `error`."""
    # One thread: the memory limit counts what each thread reserves.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import h5py

    _limit(seconds, (4 << 30) + most_bytes)
    index: dict[str, Any]
    try:
        with (
            h5py.File(file, "r") as source,
            open(os.path.join(folder, "arrays.bin"), "wb") as output,
        ):
            walk = _Walk(h5py, output, most_bytes)
            walk.group(source, "", 0)
        index = {"groups": walk.groups, "arrays": walk.arrays}
    except MemoryError:
        index = {"error": "it asks for more memory than a model of its size needs"}
    except Exception as error:  # h5py raises a score of types on damaged files
        index = {"error": (str(error) or type(error).__name__).splitlines()[0][:300]}
    with open(os.path.join(folder, "index.json"), "w", encoding="utf-8") as output:
        json.dump(index, output)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
