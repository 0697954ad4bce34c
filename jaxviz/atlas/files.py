"""Files that appear whole or not at all, and errors that a person can act on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxviz.errors import AtlasError

#: Ending of a file that is being written. Only the holder of the lock writes, so one
#: name is enough, and what a killed run leaves is overwritten by the next.
PARTIAL = ".partial"

RESUME_HINT = (
    "What was committed before is safe: make room or give access, and run the same command again."
)

_TENSORSTORE = re.compile(r"^[A-Z_]+: ")
_OS_ERROR = re.compile(r"\[os_error_code='(\d+)'")


@contextmanager
def explained(action: str, path: Path, *, hint: str = "") -> Iterator[None]:
    """Turn a failure of the file system or of TensorStore into one clear AtlasError.

    Args:
        action: What is being tried, after 'cannot': 'write the sheet of "conv1" in'.
        path: What it is tried on, as the user named it.
        hint: What the user can do about it.

    Example:
        >>> with explained("write", Path("a.atlas")):
        ...     raise OSError(28, "No space left on device")
        Traceback (most recent call last):
        jaxviz.errors.AtlasError: cannot write 'a.atlas': No space left on device
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise AtlasError(f"cannot {action} {str(path)!r}: {reason}", hint=hint) from error
    except ValueError as error:  # the one type that TensorStore raises, for every cause
        raise AtlasError(f"cannot {action} {str(path)!r}: {_reason(error)}", hint=hint) from error


def _reason(error: ValueError) -> str:
    text = str(error)
    if found := _OS_ERROR.search(text):
        return os.strerror(int(found[1]))
    # TensorStore appends its whole configuration, absolute paths and all, in brackets.
    return _TENSORSTORE.sub("", text.split(" [tensorstore_spec=")[0].split(" [source locations")[0])


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file by new content so that no reader or crash ever sees a part of it.

    Raises:
        OSError: As the file system gives it; the older file is then untouched.
    """
    partial = path.with_name(path.name + PARTIAL)
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    # A rename survives a power cut only once its folder is on disk. Windows cannot open one.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
