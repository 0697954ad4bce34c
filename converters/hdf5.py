"""HDF5 files, read in a child process, because libhdf5 hangs or crashes on some damaged files.

No code in the same process can catch such a crash. The child (`hdf5_child.py`) has limits on
processor time and memory, follows no link out of the file, and returns attributes and raw bytes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters.document import Json, need, parse_json
from jaxviz.errors import ModelFileError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_CHILD = Path(__file__).with_name("hdf5_child.py")
#: Processor time of the child: a constant, and more for large files.
_SECONDS, _BYTES_PER_SECOND = 5, 20 << 20
#: Seconds of wall clock beyond the processor time, because disks may be slow.
_PATIENCE = 20
#: Bytes of arrays: a constant, or a multiple of the file's size, because files are compressed.
_LEAST_ALLOWANCE, _LARGEST_RATIO = 256 << 20, 20


@dataclass(frozen=True)
class StoredArray:
    """An array that stays on disk until it is loaded.

    Attributes:
        shape: Shape of the array.
        dtype: NumPy's name of the stored type, or `bfloat16`.
        file: The file that holds the bytes.
        offset: Position of the first byte in the file.
        owner: Keeps a temporary file alive.
    """

    shape: tuple[int, ...]
    dtype: str
    file: Path
    offset: int
    owner: object = None

    def load(self) -> np.ndarray:
        """Read the values, as float32."""
        count = int(np.prod(self.shape, dtype=np.int64))
        raw = np.dtype("<u2" if self.dtype == "bfloat16" else self.dtype)
        array = np.fromfile(self.file, raw, count, offset=self.offset)
        if self.dtype == "bfloat16":  # the upper half of a float32
            array = (array.astype(np.uint32) << 16).view(np.float32)
        return array.reshape(self.shape).astype(np.float32, copy=False)


@dataclass(frozen=True)
class Hdf5:
    """The content of an HDF5 file.

    Attributes:
        groups: Attributes of each group, by path; the root's path is empty.
        arrays: Numeric arrays, by path.
    """

    groups: Mapping[str, Mapping[str, Json]]
    arrays: Mapping[str, StoredArray]

    def attribute_list(self, path: str, name: str) -> list[str]:
        """A list of texts, which Keras may have split into `name0`, `name1`, …."""
        attributes = self.groups.get(path, {})
        parts = [attributes[name]] if name in attributes else []
        while f"{name}{len(parts)}" in attributes and name not in attributes:
            parts.append(attributes[f"{name}{len(parts)}"])
        return [str(item) for part in parts if isinstance(part, list) for item in part]


def read_hdf5(path: Path, shown: str) -> Hdf5:
    """Read a whole file in a child process with limits.

    Args:
        path: The file.
        shown: What error messages call the file.

    Raises:
        ModelFileError: If the file is damaged, or holds something that no model holds.
    """
    size = path.stat().st_size
    allowance = max(_LEAST_ALLOWANCE, _LARGEST_RATIO * size)
    seconds = _SECONDS + size // _BYTES_PER_SECOND
    owner = _Folder()
    folder = owner.path
    command = [sys.executable, "-I", str(_CHILD), str(path.absolute()), str(folder)]
    try:
        process = subprocess.run(
            [*command, str(seconds), str(allowance)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE + 4 * seconds,
            env={**os.environ, "HDF5_USE_FILE_LOCKING": "FALSE"},
        )
        status = process.returncode
    except subprocess.TimeoutExpired:
        status = None
    index_file = folder / "index.json"
    if status != 0 or not index_file.is_file():
        hangs = status in (None, -24, -9)  # no end, SIGXCPU, SIGKILL
        how = "hangs" if hangs else "crashes"
        raise ModelFileError(
            f"{shown!r} is damaged: the HDF5 library {how} on it",
            hint="Download or save the file again.",
        )
    what = f"the index of {shown!r}"
    index = need(parse_json(index_file.read_bytes(), what), dict, what)
    if "error" in index:
        raise ModelFileError(f"cannot read {shown!r}: {index['error']}")
    arrays = {
        name: StoredArray(
            tuple(entry["shape"]), entry["dtype"],
            folder / "arrays.bin", entry["offset"], owner,
        )
        for name, entry in index["arrays"].items()
    }  # fmt: skip
    return Hdf5(index["groups"], arrays)


class _Folder:
    """A temporary folder that disappears with the last array in it."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="jaxviz-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
