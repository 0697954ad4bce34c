"""HDF5 files, read in a child process that cannot hurt this one.

libhdf5 hangs or crashes on some damaged files, and no code in the same process can catch
that. The child (`hdf5_child.py`) has limits on processor time and memory, follows no link
out of the file, and hands back attributes and raw bytes.
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
from typing import Any

import numpy as np

from converters.config import parse_json
from jaxviz.errors import ModelFileError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_CHILD = Path(__file__).with_name("hdf5_child.py")
#: A spinning libhdf5 is stopped after this much processor time, and more for large files.
_SECONDS, _BYTES_PER_SECOND = 5, 20 << 20
#: Wall clock, for slow disks and busy machines.
_PATIENCE = 20
#: Compression can make arrays larger than their file, but not without bound.
_LEAST_ALLOWANCE, _LARGEST_RATIO = 256 << 20, 20


@dataclass(frozen=True)
class StoredArray:
    """An array that stays on disk until it is loaded.

    Attributes:
        shape: Its shape.
        dtype: NumPy's name of its type, or `bfloat16`.
        file: Where its bytes are.
        offset: Position of the first byte.
        owner: Keeps a temporary file alive.
    """

    shape: tuple[int, ...]
    dtype: str
    file: Path
    offset: int
    owner: object = None

    def load(self) -> np.ndarray:
        """The values as float32."""
        count = int(np.prod(self.shape, dtype=np.int64))
        raw = np.dtype("<u2" if self.dtype == "bfloat16" else self.dtype)
        array = np.fromfile(self.file, raw, count, offset=self.offset)
        if self.dtype == "bfloat16":  # the upper half of a float32
            array = (array.astype(np.uint32) << 16).view(np.float32)
        return array.reshape(self.shape).astype(np.float32, copy=False)


@dataclass(frozen=True)
class Hdf5:
    """What an HDF5 file holds.

    Attributes:
        groups: Attributes of each group, by path; the root is ``.
        arrays: Numeric arrays by path.
    """

    groups: Mapping[str, Mapping[str, Any]]
    arrays: Mapping[str, StoredArray]

    def attribute_list(self, path: str, name: str) -> list[str]:
        """A list of texts that Keras may have split (`name0`, `name1`, …)."""
        attributes = self.groups.get(path, {})
        parts = [attributes[name]] if name in attributes else []
        while f"{name}{len(parts)}" in attributes and name not in attributes:
            parts.append(attributes[f"{name}{len(parts)}"])
        return [str(item) for part in parts if isinstance(part, list) for item in part]


def read_hdf5(path: Path, shown: str) -> Hdf5:
    """Read a whole file, in a child process with limits.

    Args:
        path: The file.
        shown: What to call it in messages.

    Raises:
        ModelFileError: If it is damaged, or holds what no model does.
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
        died = process.returncode
    except subprocess.TimeoutExpired:
        died = None
    index_file = folder / "index.json"
    if died != 0 or not index_file.is_file():
        how = "takes forever to read" if died in (None, -24, -9) else "makes the HDF5 library crash"
        raise ModelFileError(f"{shown!r} is damaged: it {how}")
    index = parse_json(index_file.read_bytes(), f"the index of {shown!r}")
    if "error" in index:
        raise ModelFileError(f"{shown!r} cannot be read: {index['error']}")
    arrays = {
        name: StoredArray(
            tuple(entry["shape"]), entry["dtype"],
            folder / "arrays.bin", entry["offset"], owner,
        )
        for name, entry in index["arrays"].items()
    }  # fmt: skip
    return Hdf5(index["groups"], arrays)


class _Folder:
    """A temporary folder that is removed when the last array in it is gone."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="jaxviz-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
