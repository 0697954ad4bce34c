"""Keep freed memory instead of giving it back to the system after every step."""

from __future__ import annotations

import ctypes
import mmap
import sys
from functools import cache

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8
#: The largest heap of any thread but the first.
_HEAP = 64 << 20
#: Room that is laid out in large pages; not memory before it is used.
_ROOM = 1 << 30


@cache
def keep_freed_memory() -> None:
    """Let the C library reuse large blocks, for this process, once and before it has threads.

    XLA asks for a step's scratch memory anew at every step. glibc maps blocks of 32 MB and
    more afresh each time, and the system then hands over every page at its first touch: on
    a CPU half the time of a MobileNetV2 step. Blocks above 64 MB it always maps in threads
    other than the first, whose heaps are no larger, so all share the first one's (VGG16 at
    224 px: a sixth of a step), in pages of 2 MB where the system has them on request. Threads
    that are there already keep their heaps, which would be given back as a whole when they
    fall empty, whatever the threshold, unless room is to be kept for a whole heap: on a CPU a
    quarter of the time of the galaxy classifier's, in every third process. Where there is no
    glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    try:
        mallopt = library.mallopt
    except AttributeError:  # another C library
        return
    mallopt(_M_ARENA_MAX, 1)
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_M_TOP_PAD, _HEAP)
    _lay_out_room(library)


def _lay_out_room(library: ctypes.CDLL) -> None:
    """Grow the first heap, untouched, and ask for large pages there."""
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    room = library.malloc(_ROOM)
    if not room:
        return
    first = -(-room // mmap.PAGESIZE) * mmap.PAGESIZE
    library.madvise(first, room + _ROOM - first - mmap.PAGESIZE, mmap.MADV_HUGEPAGE)
    library.free(room)
