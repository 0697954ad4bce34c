"""Layer names as file names.

A layer name comes from a model file and is untrusted text: it may hold slashes,
`..`, other alphabets, or differ from another only in case. On disk every layer is
a key at one flat level that no file system folds, splits or reserves.
"""

from __future__ import annotations

import hashlib

_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-")
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{d}{i}" for d in ("com", "lpt") for i in range(10))]
)
# File systems stop at 255 bytes a name; suffixes such as '.png' need room too.
_LONGEST = 180


def encode(name: str) -> str:
    """Turn a layer name into a key that is safe as a file name on any system.

    Different names give different keys, also where the file system ignores case.
    The way back is the manifest, which maps keys to names.

    Args:
        name: Any text.

    Returns:
        Lower-case ASCII of at most 200 characters: letters, digits, `_`, `-` as they
        are, every other byte of the UTF-8 form as `%` and two hexadecimal digits.

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
