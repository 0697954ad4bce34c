"""Layers that cannot be converted, each with the reason that the user reads.

A class of Keras has a converter or stands here; `tests/converters/test_coverage.py` checks it.
"""

from __future__ import annotations

from converters.layers.registry import refuses

refuses("holds Python code, which a spec cannot store", "Lambda")
refuses("masks later layers, which a spec cannot express", "Masking")
refuses(
    "is recurrent, but a spec computes each image in one pass",
    "RNN", "SimpleRNN", "LSTM", "GRU", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D",
    "SimpleRNNCell", "LSTMCell", "GRUCell", "StackedRNNCells", "CuDNNLSTM", "CuDNNGRU",
)  # fmt: skip
refuses(
    "reads whole numbers or text, which have no gradient",
    "Embedding", "ReversibleEmbedding", "Discretization", "CategoryEncoding", "Hashing",
    "HashedCrossing", "IntegerLookup", "StringLookup", "TextVectorization", "MaxNumBoundingBoxes",
)  # fmt: skip
refuses(
    "runs code or a graph of another framework",
    "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer",
)  # fmt: skip
refuses("shares keys among heads, which a spec cannot express", "GroupedQueryAttention")
refuses(
    "has a kernel for every position, which a spec cannot express",
    "LocallyConnected1D", "LocallyConnected2D",
)  # fmt: skip
refuses("computes spectra of sound, not of images", "MelSpectrogram", "STFTSpectrogram")
refuses(
    "depends on the histogram of the image, which a spec cannot express", "AutoContrast",
    "ContrastLimitedAdaptiveHistogramEqualization",
)  # fmt: skip
refuses("holds layers that the model's graph does not show", "Pipeline")
refuses(
    "returns truth values or positions, which have no gradient",
    *(
        f"ops.{name}"
        for name in (
            "All", "Any", "Argmax", "Argmin", "Argpartition", "Argsort", "CountNonzero", "Digitize",
            "Equal", "Greater", "GreaterEqual", "InTopK", "IsIn", "Isclose", "Isfinite", "Isinf",
            "Isnan", "Isneginf", "Isposinf", "Isreal", "Less", "LessEqual", "LogicalAnd",
            "LogicalNot", "LogicalOr", "LogicalXor", "MultiHot", "Nonzero", "NotEqual", "OneHot",
            "SearchSorted", "Signbit", "TopK", "UnravelIndex", "Where", "Select",
        )
    ),
)  # fmt: skip
refuses("casts to a type that the file does not state", "ops.Cast", "ops.SaturateCast", "ops.View")
refuses(
    "runs a function, which a spec cannot store",
    *(
        f"ops.{name}"
        for name in (
            "AssociativeScan", "Cond", "ForiLoop", "Map", "Scan", "Switch", "VectorizedMap",
            "WhileLoop",
        )
    ),
)  # fmt: skip
