"""One writer per atlas folder, by a lock that dies with its process.

The operating system releases the lock when the process ends, however it ends, so the
file that carries it is never deleted and never stale.

Room for several workers: today a run holds the lock exclusively. Workers on disjoint
chunks would hold it shared (`flock(LOCK_SH)`), with one exclusive lock file per chunk
range and one for finishing (manifest, sheets, page). The store needs no change: all
columns of a layer share their chunk boundaries, so no file belongs to two workers.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from jaxviz.errors import AtlasError, AtlasLockedError

# Windows locks bytes against reading too, so the locked byte lies beyond the text.
_LOCKED_BYTE = 1 << 30


class FolderLock:
    """An exclusive lock on a file, taken at once or refused at once.

    Args:
        file: The lock file; made if it is missing.
        folder: The atlas as the user named it, for messages.

    Raises:
        AtlasLockedError: If another process (or another writer in this one) holds it.
        AtlasError: If the file cannot be made, or the file system has no locks.
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
                hint="Wait for it to end, or give this run another folder.",
            ) from error
        except OSError as error:
            os.close(self._descriptor)
            raise AtlasError(
                f"cannot lock {str(folder)!r}: {error.strerror}",
                hint="Its file system may have no locks; use a local folder.",
            ) from error

    def sign(self) -> None:
        """Leave this process' number in the file, for the message that others get."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let others in."""
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
