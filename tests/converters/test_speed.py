"""The memory of a conversion, measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.keras_models import Keras

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
#: Largest peak above the imports, as a multiple of the weights' size.
MOST = 2.5
SCRIPT = """
import json, resource, sys
import converters.convert, converters.keras_file, jaxviz.bundle.store
def peak():  # of this program: ru_maxrss would still hold its parent's before exec
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM"))
before = peak()
bundle = converters.convert_file(sys.argv[1], until=sys.argv[2] or None)
size = sum(a.nbytes for arrays in bundle.weights.values() for a in arrays.values())
children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
print(json.dumps({"taken": peak() - before, "children": children, "size": size}))
"""


def measured(path: Path, until: str = "") -> dict[str, int]:
    command = [sys.executable, "-c", SCRIPT, str(path), until]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_memory_is_bounded_by_the_weights(ending: str, keras: Keras, tmp_path: Path) -> None:
    layers = [keras.layers.Dense(1600, name=f"dense{i}") for i in range(8)]
    model = keras.Sequential([keras.layers.Input((1600,)), *layers])
    path = tmp_path / f"net{ending}"
    model.save(path)
    whole = measured(path)
    assert whole["size"] == 4 * model.count_params()
    assert whole["taken"] < MOST * whole["size"], whole
    # The child holds one array at a time, beside Python, NumPy and h5py.
    assert whole["children"] < 2 * whole["size"], whole
    part = measured(path, until="dense1")
    assert part["size"] == whole["size"] // 4
    assert part["taken"] < whole["taken"] / 2, (part, whole)
