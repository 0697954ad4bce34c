"""Keep freed memory instead of giving it back to the system after every step."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


@cache
def keep_freed_memory() -> None:
    """Let the C library reuse large blocks, for this process, once.

    XLA asks for a step's scratch memory anew at every step. glibc maps blocks of 32 MB and
    more afresh each time, and the system then hands over every page at its first touch: on
    a CPU half the time of a MobileNetV2 step. Where there is no glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
