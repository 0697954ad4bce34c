"""Every network of keras.applications, converted from both file formats and compared.

    python -m converters.zoo                   all networks; writes docs/reference/zoo.md
    python -m converters.zoo ResNet50 VGG16    only their rows of the page
    python -m converters.zoo --dry-run         prints the rows, and writes nothing

Weights and batch-norm statistics are random, because a wrong mean would pass unseen at 0.
Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import gc
import inspect
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

import converters
from converters.keras_live import KerasModel
from converters.verify import Report, verify
from jaxviz.bundle import Bundle

#: A variable of a live Keras model.
KerasVariable: TypeAlias = Any

#: Relative L2 error allowed on the worst and on the median layer.
WORST, MEDIAN = 2e-5, 2e-6
#: Pixels a side of the test image; every network accepts this size.
_SIZE = 128
_FIXED_SIZE = {"NASNetLarge": 331, "NASNetMobile": 224}
#: One small member of each family.
SMALL = (
    "ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "InceptionResNetV2",
    "InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Small", "NASNetMobile", "ResNet50",
    "ResNet50V2", "VGG16", "Xception",
)  # fmt: skip
#: Weight of the last batch norm of a residual branch.
_BRANCH = 0.2
#: The page with the table, in a checkout of the repository.
PAGE = Path(__file__).parents[1] / "docs" / "reference" / "zoo.md"


@dataclass(frozen=True)
class Row:
    """One network's result.

    Attributes:
        name: Name of the network.
        top: Whether the network has its classifier.
        parameters: Number of parameters.
        report: The layers from the `.keras` file against Keras.
        same: Whether the `.h5` file gives an equal spec and equal arrays.
        seconds: Time to read and convert the `.keras` file.
    """

    name: str
    top: bool
    parameters: int
    report: Report
    same: bool
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether both formats are within the tolerances."""
        report = self.report
        return (
            self.same
            and not report.missing
            and report.worst.error <= WORST
            and report.median <= MEDIAN
        )


def networks() -> list[str]:
    """Names of all networks of keras.applications."""
    import keras

    found = vars(keras.applications).items()
    return sorted(name for name, f in found if inspect.isfunction(f) and name[0].isupper())


def randomise(model: KerasModel, seed: int = 0) -> KerasModel:
    """Give statistics, offsets and factors random values near their usual ones.

    Residual branches get less weight than the sums that they join, as after training.
    Otherwise the signal of a deep network grows until its gates saturate, and rounding errors
    decide between their ends.

    Args:
        model: A live model, changed in place.
        seed: Seed of the random values.

    Returns:
        The model.
    """
    generator = np.random.default_rng(seed)
    branches = {id(gamma) for gamma in _branch_factors(model)}
    for variable in model.weights:
        name, shape = variable.path.split("/")[-1], tuple(variable.shape)
        if name in ("gamma", "moving_variance", "variance"):
            weight = _BRANCH if id(variable) in branches else 1.0
            variable.assign(weight * generator.uniform(0.5, 1.5, shape).astype(np.float32))
        elif name in ("beta", "moving_mean", "mean", "bias"):
            variable.assign(generator.normal(0, 0.1, shape).astype(np.float32))
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
    return model


def _branch_factors(model: KerasModel) -> Iterator[KerasVariable]:
    """The factors of each batch norm whose result enters a sum."""
    for layer in model.layers:
        if type(layer).__name__ == "Add":
            for tensor in layer.input:
                branch = tensor._keras_history.operation
                while type(branch).__name__ == "Dropout":
                    branch = branch.input._keras_history.operation
                if getattr(branch, "gamma", None) is not None:
                    yield branch.gamma


def check(name: str, top: bool) -> Row:
    """Build, save, convert and compare one network.

    Args:
        name: Name of the network.
        top: Whether the network keeps its classifier.
    """
    import keras

    keras.backend.clear_session()
    size = _FIXED_SIZE.get(name, _SIZE) if top else _SIZE
    builder = getattr(keras.applications, name)
    model = builder(weights=None, include_top=top, input_shape=(size, size, 3))
    images = np.random.default_rng(1).uniform(0, 255, (1, size, size, 3)).astype(np.float32)
    if not any(type(layer).__name__ in ("Rescaling", "Normalization") for layer in model.layers):
        images = images / 127.5 - 1
    randomise(model)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}.keras", Path(folder) / f"{name}.h5"]
        for path in paths:
            model.save(path)
        begin = time.perf_counter()
        bundle = converters.convert_file(paths[0])
        seconds = time.perf_counter() - begin
        same = _same(bundle, converters.convert_file(paths[1]))
    report = verify(bundle, model, images, tolerance=WORST)
    return Row(name, top, model.count_params(), report, same, seconds)


def _same(first: Bundle, second: Bundle) -> bool:
    return first.spec.nodes == second.spec.nodes and all(
        np.array_equal(array, second.weights[layer][name])
        for layer, arrays in first.weights.items()
        for name, array in arrays.items()
    )


def rows(names: Sequence[str]) -> Iterator[Row]:
    """The result of each network, with and without its classifier."""
    for name in names:
        for top in (True, False):
            yield check(name, top)
            gc.collect()


HEAD = (
    "| network | parameters | layers | .keras | .h5 | worst layer | median layer | convert |\n"
    "|---|---|---|---|---|---|---|---|"
)


def line(row: Row) -> str:
    """One row of the table, as Markdown."""
    name = row.name if row.top else f"{row.name}, no top"
    verdict = "equal" if row.passed else "DIFFERENT"
    return (
        f"| {name} | {row.parameters / 1e6:.1f} M | {len(row.report.rows)} | {verdict} "
        f"| {'the same' if row.same else 'DIFFERENT'} | {row.report.worst.error:.1e} "
        f"| {row.report.median:.1e} | {row.seconds:.1f} s |"
    )


def write(row: str, page: Path) -> None:
    """Put one row into the table of a page, in place of the network's former row.

    Args:
        row: The row, as `line` returns it.
        page: A Markdown file that ends with the table.
    """
    before, table = page.read_text(encoding="utf-8").split(HEAD)
    by_network = {each.split("|")[1].strip(): each for each in [*table.split("\n"), row] if each}
    lines = [HEAD, *(by_network[name] for name in sorted(by_network))]
    page.write_text(before + "\n".join(lines) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, and write the page; status 1 if a network differs."""
    parser = argparse.ArgumentParser(
        prog="python -m converters.zoo",
        description="Compare networks of keras.applications with Keras.",
    )
    parser.add_argument("names", nargs="*", help="networks; all by default")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    options = parser.parse_args(arguments)
    failed = 0
    print(HEAD)
    for row in rows(options.names or networks()):
        print(line(row), flush=True)
        if not options.dry_run:
            write(line(row), PAGE)
        if not row.passed:
            failed += 1
            print(row.report.table(5), *row.report.missing, sep="\n", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
