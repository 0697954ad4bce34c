"""Ctrl-C that cannot get lost.

Python raises KeyboardInterrupt wherever the main thread is at that moment. Inside a finaliser
or a callback it is printed and dropped, and a night's run would go on. So the command line
also remembers it, and the loop over steps asks.
"""

from __future__ import annotations

import signal
from threading import Event
from types import FrameType

_seen = Event()


def listen() -> None:
    """Remember an interrupt besides raising it; called once, from the main thread."""
    signal.signal(signal.SIGINT, _remember)


def seen() -> bool:
    """Whether there was an interrupt since `listen`.

    Example:
        >>> seen()
        False
    """
    return _seen.is_set()


def _remember(signum: int, frame: FrameType | None) -> None:
    _seen.set()
    raise KeyboardInterrupt
