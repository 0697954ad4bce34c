"""A program that reads one HDF5 file and writes its content as plain bytes.

libhdf5 can hang, crash or exhaust the memory on a damaged file, so only this program opens
HDF5 files. It runs by path, isolated (`python -I`), and imports nothing of jaxviz. It writes
`index.json` (attributes of groups, table of arrays) and `arrays.bin`.

    python -I hdf5_child.py FILE FOLDER SECONDS BYTES
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, BinaryIO, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json]"
_SKIPPED = {"optimizer_weights", "optimizer", "training_config"}
_MOST_OBJECTS = 200_000
_DEEPEST = 64
_KINDS = "fiu"  # floats, integers, unsigned


class _Refused(Exception):
    """The file holds something that Keras never writes."""


def _limit(seconds: int, memory: int) -> None:
    """Limit the processor time and the memory (bytes) of this process."""
    try:
        import resource
    except ImportError:  # on Windows only the parent's clock limits this process
        return
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _attribute(value: Any) -> Json:
    """An attribute as JSON: text, numbers, or lists of both."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list | tuple):
        return [_attribute(item) for item in value]
    if isinstance(value, str | int | float | bool):
        return value
    raise _Refused(
        f"an attribute holds a {type(value).__name__}, which is neither text nor numbers"
    )


class _Walk:
    """A walk through all groups and arrays of a file.

    Args:
        h5py: The library.
        output: The file that receives the arrays' bytes.
        most_bytes: The most bytes that the arrays may hold together.

    Attributes:
        groups: Attributes of each group, by path.
        arrays: Shape, type and position of each array, by path.
    """

    def __init__(self, h5py: Any, output: BinaryIO, most_bytes: int) -> None:
        self.h5py, self.output, self.left = h5py, output, most_bytes
        self.groups: dict[str, dict[str, Json]] = {}
        self.arrays: dict[str, dict[str, Json]] = {}
        self.visited: set[int] = set()
        self.position = 0

    def group(self, group: Any, path: str, depth: int) -> None:
        """Read a group and everything in it."""
        if depth > _DEEPEST:
            raise _Refused(f"its groups are nested more than {_DEEPEST} deep")
        if len(self.visited) > _MOST_OBJECTS:
            raise _Refused(f"it holds more than {_MOST_OBJECTS} groups")
        address = self.h5py.h5o.get_info(group.id).addr
        if address in self.visited:
            raise _Refused(f"{path!r} links back to a group that was already read")
        self.visited.add(address)
        self.groups[path] = {name: _attribute(group.attrs[name]) for name in group.attrs}
        for name in group:
            inner = f"{path}/{name}" if path else name
            if not path and name in _SKIPPED:
                continue
            link = group.get(name, getlink=True)
            if not isinstance(link, self.h5py.HardLink):
                raise _Refused(f"{inner!r} is a soft or external link, which is never followed")
            item = group[name]
            if isinstance(item, self.h5py.Group):
                self.group(item, inner, depth + 1)
            elif isinstance(item, self.h5py.Dataset):
                self.dataset(item, inner)
            else:
                raise _Refused(f"{inner!r} is neither a group nor an array")

    def dataset(self, item: Any, path: str) -> None:
        """Write an array's bytes, unless it claims more than the file can hold."""
        if item.is_virtual or item.external:
            raise _Refused(f"{path!r} keeps its values in another file")
        bfloat16 = _attribute(item.attrs["dtype"]) == "bfloat16" if "dtype" in item.attrs else False
        dtype = item.dtype
        if item.shape is None or not (dtype.kind in _KINDS or (bfloat16 and dtype.itemsize == 2)):
            return  # not numeric; if a layer needs it, binding reports a missing array
        size = item.dtype.itemsize
        for n in item.shape:
            size *= n
        self.left -= size
        if self.left < 0:
            raise _Refused(
                f"{path!r} claims {size} bytes, more than a file of this size could hold"
            )
        if size and item.chunks is None and item.id.get_storage_size() < size:
            raise _Refused(f"{path!r} claims {size} bytes, which the file does not hold")
        array = item[()]
        self.output.write(memoryview(array).cast("B") if array.ndim and size else array.tobytes())
        self.arrays[path] = {
            "shape": list(item.shape),
            "dtype": "bfloat16" if bfloat16 else dtype.str,
            "offset": self.position,
        }
        self.position += size


def main(file: str, folder: str, seconds: int, most_bytes: int) -> None:
    """Read the file; write a failure into `index.json` as `error`.

    Args:
        file: The HDF5 file.
        folder: The folder that receives `index.json` and `arrays.bin`.
        seconds: The most processor time.
        most_bytes: The most bytes that the arrays may hold together.
    """
    # One thread, because each thread's reserve counts towards the memory limit.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import h5py

    _limit(seconds, (4 << 30) + most_bytes)
    index: dict[str, object]
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
    except Exception as error:  # h5py raises many types on damaged files
        index = {"error": (str(error) or type(error).__name__).splitlines()[0][:300]}
    with open(os.path.join(folder, "index.json"), "w", encoding="utf-8") as output:
        json.dump(index, output)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
