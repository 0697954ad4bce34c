"""Every class of Keras is converted, or refused for a reason, and the reference lists it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from pathlib import Path

import pytest

from converters import layers, zoo
from converters.layers.page import page
from converters.layers.registry import CONVERTERS, REFUSED, converts
from tests.support.keras_models import Keras

PAGES = Path(__file__).parents[2] / "docs" / "reference"

#: Not layers that a graph can hold.
ABSTRACT = {"InputLayer", "InputSpec", "Layer", "Wrapper"}
#: `config` and `lower` replace these by the layers in them.
STRUCTURE = {"TimeDistributed"}


def test_every_layer_of_keras_is_decided_on(keras: Keras) -> None:
    classes = {c.__name__ for c in vars(keras.layers).values() if inspect.isclass(c)}
    assert classes - set(CONVERTERS) <= ABSTRACT | STRUCTURE
    assert len(classes - set(REFUSED)) > 100


def test_every_function_that_a_network_may_hold_is_decided_on(keras: Keras) -> None:
    """All of `keras.ops.nn` and `core` are converted or refused, but for these."""
    package = importlib.import_module("keras.src.ops")
    operation = importlib.import_module("keras.src.ops.operation").Operation
    undecided = {}
    for info in pkgutil.iter_modules(package.__path__):
        if info.name.endswith("_test"):
            continue
        module = importlib.import_module(f"keras.src.ops.{info.name}")
        names = {
            name
            for name, found in vars(module).items()
            if inspect.isclass(found)
            and issubclass(found, operation)
            and found.__module__ == module.__name__
        }
        undecided[info.name] = {name for name in names if f"ops.{name}" not in CONVERTERS}
    assert undecided["nn"] == UNKNOWN_NN
    assert undecided["core"] == {"ConvertToTensor", "Scatter", "ScatterUpdate", "SliceUpdate"}


#: Losses, and layers as functions of arrays that no file stores.
UNKNOWN_NN = {
    "AdaptiveAveragePool", "AdaptiveMaxPool", "BatchNorm", "BinaryCrossentropy", "CTCDecode",
    "CTCLoss", "CategoricalCrossentropy", "Conv", "ConvTranspose", "DepthwiseConv", "Fold",
    "Moments", "PSNR", "Polar", "SeparableConv", "SparseCategoricalCrossentropy", "Unfold",
}  # fmt: skip


def test_the_page_of_layers_says_what_the_registry_says() -> None:
    assert PAGES.joinpath("layers.md").read_text("utf-8") == page(), "run scripts/docs --update"


def test_a_class_has_one_converter() -> None:
    with pytest.raises(ValueError, match="two converters are registered for the Keras class"):
        converts("Conv2D")(lambda call: call.input)


def test_a_new_file_needs_no_list() -> None:
    """Every module of `converters.layers` that registers a class is imported with the package."""
    folder = Path(layers.__file__).parent
    files = {file.stem for file in folder.glob("*.py")} - {"__init__", "__main__"}
    imported = {name.rpartition(".")[2] for name in sys.modules if name.startswith(layers.__name__)}
    assert files <= imported


def test_the_page_of_networks_has_a_row_for_each(keras: Keras) -> None:
    """`test_zoo.py` measures the rows."""
    table = PAGES.joinpath("zoo.md").read_text("utf-8").partition(zoo.HEAD)[2]
    named = [row.split("|")[1].strip() for row in table.splitlines() if row]
    both = [name for network in zoo.networks() for name in (network, f"{network}, no top")]
    assert sorted(named) == sorted(both)
    assert "DIFFERENT" not in table
