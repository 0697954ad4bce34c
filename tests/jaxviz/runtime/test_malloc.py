"""The allocator keeps what a large block freed, so that the next one costs no page faults."""

import subprocess
import sys

import pytest

_COUNT = """
import resource, sys
from threading import Thread
import numpy as np
if sys.argv[1] == "keep":
    from jaxviz.runtime.malloc import keep_freed_memory
    keep_freed_memory()
faults = []
def run():
    for _ in range(6):
        np.ones(int(sys.argv[2]))  # freed at once
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
thread = Thread(target=run)
thread.start() if sys.argv[3] == "thread" else run()
thread.join() if sys.argv[3] == "thread" else None
print(faults[-1] - faults[1])
"""


def _faults(*arguments: str) -> int:
    run = subprocess.run(
        [sys.executable, "-c", _COUNT, *arguments], capture_output=True, text=True, check=True
    )
    return int(run.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone is tuned")
@pytest.mark.parametrize(("numbers", "where"), [("12000000", "main"), ("5000000", "thread")])
def test_large_blocks_are_reused(numbers, where):
    kept, plain = _faults("keep", numbers, where), _faults("plain", numbers, where)
    assert kept < 200
    assert plain > 10 * max(kept, 1)
