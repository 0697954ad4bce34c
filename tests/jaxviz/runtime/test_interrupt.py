"""An interrupt that Python drops ends a run all the same."""

import os
import signal
import threading

import pytest

import jaxviz
from jaxviz.runtime import interrupt
from tests.support.tiny import tiny_bundle


@pytest.fixture
def listening():
    before = signal.getsignal(signal.SIGINT)
    interrupt.listen()
    yield
    interrupt.forget()
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals reach the main one"
)
def test_a_dropped_interrupt_ends_the_run(listening):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        pass  # as a finaliser would
    with pytest.raises(KeyboardInterrupt):
        jaxviz.render(tiny_bundle(), "conv1", [0, 1], preset="keras-io", size=16, steps=16)
