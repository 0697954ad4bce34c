"""The allocator keeps what a large block freed, so that the next one costs no page faults."""

import subprocess
import sys

import pytest

_COUNT = """
import resource, sys
import numpy as np
if sys.argv[1] == "keep":
    from jaxviz.allocator import keep_freed_memory
    keep_freed_memory()
faults = []
for _ in range(6):
    np.ones(12_000_000)  # 96 MB, freed at once
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[-1] - faults[1])
"""


def _faults(what: str) -> int:
    run = subprocess.run(
        [sys.executable, "-c", _COUNT, what], capture_output=True, text=True, check=True
    )
    return int(run.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone is tuned")
def test_large_blocks_are_reused():
    kept, plain = _faults("keep"), _faults("plain")
    assert kept < 200
    assert plain > 10 * max(kept, 1)
