"""Layer names as file names.

A layer name is untrusted text from a model file. Names may hold slashes, `..` or any alphabet, and
two may differ only in case. On disk every layer has a key that no file system splits or reserves.
"""

from __future__ import annotations

import hashlib

_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-")
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{d}{i}" for d in ("com", "lpt") for i in range(10))]
)
# File systems allow 255 bytes, and suffixes such as '.png' need room.
_LONGEST = 180


def encode(name: str) -> str:
    """A key for a layer name, safe as a file name on any system.

    Different names have different keys, even where the file system ignores case. The manifest
    maps keys to names.

    Args:
        name: Any text.

    Returns:
        At most 200 characters of lower-case ASCII. Lower-case letters, digits, `_` and `-`
        are kept; every other byte of the UTF-8 form is `%` and two hexadecimal digits.

    Example:
        >>> encode("conv2d_1"), encode("outer/Inner"), encode("..")
        ('conv2d_1', 'outer%2f%49nner', '%2e%2e')
    """
    raw = name.encode("utf-8", "surrogatepass")
    key = "".join(chr(b) if b in _SAFE else f"%{b:02x}" for b in raw)
    if key in _DEVICES or key == "":
        key = f"%{ord(key[0]):02x}{key[1:]}" if key else "%"
    if len(key) > _LONGEST:
        key = f"{key[: _LONGEST - 20]}%-{hashlib.sha256(raw).hexdigest()[:16]}"
    return key
