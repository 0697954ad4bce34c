"""Keep freed memory instead of giving it back to the system after every step."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4
#: The largest heap of any thread but the first.
_HEAP = 64 << 20


@cache
def keep_freed_memory() -> None:
    """Let the C library reuse large blocks, for this process, once.

    XLA asks for a step's scratch memory anew at every step. glibc maps blocks of 32 MB and
    more afresh each time, and the system then hands over every page at its first touch: on
    a CPU half the time of a MobileNetV2 step. The heaps of threads are given back as a whole
    when they fall empty, whatever the threshold, unless room is to be kept for a whole heap: on
    a CPU a quarter of the time of the galaxy classifier's, in every third process. Where there
    is no glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_M_TOP_PAD, _HEAP)
