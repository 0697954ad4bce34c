"""Ctrl-C that cannot get lost.

Python raises KeyboardInterrupt at whatever the main thread is doing. In a finaliser or a callback
the exception is printed and dropped, and the run would go on. So the command line remembers the
signal as well, and the loop over steps asks for it.
"""

from __future__ import annotations

import signal
from threading import Event
from types import FrameType

_seen = Event()


def listen() -> None:
    """Remember interrupts from now on, besides raising them; call it from the main thread."""
    signal.signal(signal.SIGINT, _remember)


def seen() -> bool:
    """Whether there was an interrupt since `listen`.

    Example:
        >>> seen()
        False
    """
    return _seen.is_set()


def forget() -> None:
    """Forget an interrupt, so that `seen` is false again."""
    _seen.clear()


def _remember(signum: int, frame: FrameType | None) -> None:
    _seen.set()
    raise KeyboardInterrupt
