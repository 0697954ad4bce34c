"""One writer per atlas folder, by a lock that dies with its process.

The operating system releases the lock when the process ends, however it ends. So the lock's
file is never deleted and never stale.

A run holds the lock exclusively. Several workers on disjoint pieces could hold it shared
(`flock(LOCK_SH)`), with one exclusive lock file per range of pieces and one for finishing. The
store would not change, because no file of the store belongs to two pieces.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from jaxviz.errors import AtlasError, AtlasLockedError

LOCK_FILE = ".lock"
# Windows also bars others from reading locked bytes, so the locked byte lies beyond the text.
_LOCKED_BYTE = 1 << 30


class FolderLock:
    """An exclusive lock on a file, which is taken or refused without waiting.

    Args:
        file: The lock's file. It is made if it does not exist.
        folder: The atlas's folder as the user named it, for messages.

    Raises:
        AtlasLockedError: If another process, or another writer in this one, holds the lock.
        AtlasError: If the file cannot be made, or the file system supports no locks.
    """

    def __init__(self, file: Path, folder: Path) -> None:
        try:
            self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise AtlasError(f"cannot write to {str(folder)!r}: {error.strerror}") from error
        try:
            _lock(self._descriptor)
        except (BlockingIOError, PermissionError) as error:
            holder = os.pread(self._descriptor, 32, 0) if os.name == "posix" else b""
            os.close(self._descriptor)
            who = f" (process {int(holder)})" if holder.strip().isdigit() else ""
            raise AtlasLockedError(
                f"another run{who} is working on {str(folder)!r}",
                hint="Wait until that run ends, or choose another folder.",
            ) from error
        except OSError as error:
            os.close(self._descriptor)
            raise AtlasError(
                f"cannot lock {str(folder)!r}: {error.strerror}",
                hint="The file system may not support locks. Choose a folder on a local disk.",
            ) from error

    def sign(self) -> None:
        """Write the process ID into the file, for the error message of other runs."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Release the lock."""
        os.close(self._descriptor)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
