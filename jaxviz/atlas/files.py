"""Files that appear whole or not at all, and clear errors where the file system fails."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxviz.errors import AtlasError

#: Ending of a file that is being written. One name is enough because only the holder of the
#: lock writes. A later run overwrites the file that a killed run leaves.
PARTIAL = ".partial"

RESUME_HINT = (
    "Units committed earlier are safe. Free some space or grant write access, "
    "then run the same command again."
)

_TENSORSTORE = re.compile(r"^[A-Z_]+: ")
_OS_ERROR = re.compile(r"\[os_error_code='(\d+)'")


@contextmanager
def explained(action: str, path: Path, *, hint: str = "") -> Iterator[None]:
    """Turn an error of the file system or of TensorStore into an `AtlasError`.

    Args:
        action: The attempted action, in words that follow "cannot".
        path: The file or folder, as the user named it.
        hint: How the user can solve the problem.

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
    except ValueError as error:  # TensorStore raises no other type
        raise AtlasError(f"cannot {action} {str(path)!r}: {_reason(error)}", hint=hint) from error


def _reason(error: ValueError) -> str:
    text = str(error)
    if found := _OS_ERROR.search(text):
        return os.strerror(int(found[1]))
    # TensorStore appends its whole configuration in brackets, absolute paths included.
    return _TENSORSTORE.sub("", text.split(" [tensorstore_spec=")[0].split(" [source locations")[0])


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file so that readers and crashes see the old or the new content, never a part.

    Raises:
        OSError: If the file system refuses. The old file is then unchanged.
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
    # A rename survives a power cut only after its folder is synced. Windows cannot open a folder.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
