"""Makes the atlases in this folder: make.py FOLDER, with commit af50e6e of jaxviz alone.

The script names modules as that commit does, so no other commit runs it. From the root of a
checkout of that commit:

    PYTHONPATH=$PWD python PATH/make.py FOLDER

FOLDER then holds everything that README.md lists but the README and this script. Every atlas is
made by a process of its own, because the half-finished ones are killed (SIGKILL).
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

RECIPE = """\
[defaults]
model = "tiny.bundle"
size = 16
steps = 6
seed = 7
range = "0:1"

[[atlas]]
output = "finished.atlas"
channels = "0:12"
chunk = 2

[[atlas]]
output = "presets-finished.atlas"
layers = ["conv3"]
preset = ["keras-io", "robust"]
steps = 4
"""
#: For each table: the finished atlas, the half-finished one, and the layer in which the latter
#: is killed, after how many of its units.
ATLASES = (
    ("finished.atlas", "half.atlas", "conv2", 5),
    ("presets-finished.atlas", "presets-half.atlas", "conv3 · keras-io", 35),
)
#: What is left out, because it is drawn again: the page and its pictures, and the lock's file.
LEFT_OUT = ("index.html", "sheets", "tiles", ".lock")


def make_bundle(path: Path) -> None:
    """A grey network of three convolutions with random weights."""
    from jaxviz.bundle import Bundle, save

    spec = architecture()
    rng = np.random.default_rng(0)
    weights: dict[str, dict[str, np.ndarray]] = {}
    for node, role, shape in spec.weight_shapes():
        values = rng.uniform(0.5, 1.5, shape) if role == "variance" else rng.normal(size=shape)
        fan = np.prod([n or 1 for n in shape[:-1]])
        scale = {"variance": 1.0, "kernel": np.sqrt(2 / fan)}.get(role, 0.1)
        weights.setdefault(node.layer, {})[node.weights[role]] = (scale * values).astype(np.float32)
    weights["conv2"]["bias"][3] = -100  # a dead unit
    weights["conv2"]["bias"][6] = -2  # one that seldom fires
    save(Bundle(spec, weights), path)
    # nothing reads it, and it holds the folder's absolute path
    (path / "weights" / "commit_success.txt").unlink()


def architecture():
    """The network's spec."""
    from jaxviz.spec import (
        Activation,
        BatchNorm,
        Conv,
        Dense,
        GlobalPool,
        InputSpec,
        ModelSpec,
        Node,
        Pool,
    )  # fmt: skip

    def conv(name: str, source: str, filters: int, side: int) -> tuple[Node, Node]:
        before = f"{name}/pre_activation"
        op = Conv(
            filters=filters, window=(side, side), strides=(1, 1), dilation=(1, 1), padding="same"
        )
        weights = {"kernel": "kernel", "bias": "bias"}
        return (
            Node(name=before, layer=name, stage="pre_activation", inputs=(source,), op=op,
                 weights=weights),
            Node(name=name, layer=name, inputs=(before,), op=Activation(function="relu")),
        )  # fmt: skip

    return ModelSpec(
        name="tiny",
        inputs=(InputSpec(name="image", shape=(16, 16, 1)),),
        nodes=(
            *conv("conv1", "image", 8, 3),
            Node(name="pool1", layer="pool1", inputs=("conv1",),
                 op=Pool(kind="max", window=(2, 2), strides=(2, 2), padding="valid")),
            *conv("conv2", "pool1", 10, 3),
            Node(name="norm", layer="norm", inputs=("conv2",), op=BatchNorm(epsilon=1e-3),
                 weights={role: role for role in ("mean", "variance", "gamma", "beta")}),
            *conv("conv3", "norm", 40, 1),
            Node(name="mean", layer="mean", inputs=("conv3",), op=GlobalPool(kind="average")),
            Node(name="scores", layer="scores", inputs=("mean",), op=Dense(units=3),
                 weights={"kernel": "kernel", "bias": "bias"}),
        ),
        outputs=("scores",),
    )  # fmt: skip


def make_one(recipe: str, table: str, output: str, layer: str = "", units: str = "0") -> None:
    """Make the atlas of one table; with a layer, die after so many of that layer's units."""
    from jaxviz.recipe import read_recipes

    from jaxviz import run

    class Killing(run.Reporter):
        now, made, others = "", 0, 0

        def __init__(self) -> None:
            self.drawn = threading.Semaphore(0)

        def layer(self, name: str) -> None:
            self.others += bool(self.now)
            self.now = name

        def finish(self, report: object) -> None:
            self.drawn.release()

        def units(self, count: int) -> None:
            if layer and self.now == layer:
                self.made += count
                if self.made >= int(units):
                    for _ in range(self.others):  # the layers before are complete, sheets and all
                        self.drawn.acquire()
                    os.kill(os.getpid(), signal.SIGKILL)

    # The smallest commits that are possible, so that a small layer has several.
    vars(run).update(_PIECE_UNITS=1, _PIECE_GFLOP=0.0, _PIECE_BYTES=0)
    asked = read_recipes(recipe)[int(table)].model_copy(update={"output": output})
    run.make_atlas(asked, Killing())


def vector_instructions() -> str:
    """The vector instruction sets of this processor, because one name covers several."""
    flags = Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split()
    return " ".join(sorted(flag for flag in flags if flag.startswith(("avx", "fma", "amx"))))


def in_own_process(*arguments: object, killed: bool = False) -> None:
    """Run `make_one` in another process."""
    command = [sys.executable, __file__, "--one", *map(str, arguments)]
    code = subprocess.run(command).returncode
    assert code == (-signal.SIGKILL if killed else 0), code


def main(folder: Path) -> None:
    """Make everything."""
    from jaxviz import tuning

    os.environ["JAXVIZ_TUNING"] = "off"  # the chunk is the rule's, not a clock's
    folder.mkdir(parents=True)
    make_bundle(folder / "tiny.bundle")
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE)
    processor = {**tuning.machine(), "instructions": vector_instructions()}
    (folder / "processor.txt").write_text(json.dumps(processor, indent=1) + "\n")
    for table, (finished, half, layer, units) in enumerate(ATLASES):
        in_own_process(recipe, table, folder / finished)
        in_own_process(recipe, table, folder / half, layer, units, killed=True)
        for path in (folder / name / part for name in (finished, half) for part in LEFT_OUT):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        make_one(*sys.argv[2:])
    else:
        main(Path(sys.argv[1]))
