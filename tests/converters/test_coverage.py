"""Every class of Keras is converted, or refused for a reason: none has been forgotten."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any

from converters.layers.registry import CONVERTERS, REFUSED

#: Not layers that a graph can hold.
ABSTRACT = {"InputLayer", "InputSpec", "Layer", "Wrapper"}
#: Taken apart by `config` and `lower`.
STRUCTURE = {"TimeDistributed"}


def test_every_layer_of_keras_is_decided_on(keras: Any) -> None:
    classes = {c.__name__ for c in vars(keras.layers).values() if inspect.isclass(c)}
    assert classes - set(CONVERTERS) <= ABSTRACT | STRUCTURE
    assert len(classes - set(REFUSED)) > 100


def test_every_function_that_a_network_may_hold_is_decided_on(keras: Any) -> None:
    """Those of `keras.ops.nn` and of images; of others, what has a gradient and keeps the batch."""
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
