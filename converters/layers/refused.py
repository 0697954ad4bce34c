"""Layers that cannot be converted, and why: what a user reads who has one.

A class that is not here either, and has no converter, is one that nobody has thought of.
"""

from __future__ import annotations

from converters.layers.registry import refuses

refuses("holds Python code, which a spec cannot store", "Lambda")
refuses("masks what follows, which a spec has no way to say", "Masking")
refuses(
    "is recurrent: a spec computes each image by itself, in one pass",
    "RNN", "SimpleRNN", "LSTM", "GRU", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D",
    "SimpleRNNCell", "LSTMCell", "GRUCell", "StackedRNNCells", "CuDNNLSTM", "CuDNNGRU",
)  # fmt: skip
refuses(
    "works on whole numbers or text, not on images that an ascent could change",
    "Embedding", "ReversibleEmbedding", "Discretization", "CategoryEncoding", "Hashing",
    "HashedCrossing", "IntegerLookup", "StringLookup", "TextVectorization", "MaxNumBoundingBoxes",
)  # fmt: skip
refuses(
    "runs code or a graph of another framework",
    "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer",
)  # fmt: skip
refuses("shares keys among heads", "GroupedQueryAttention")
refuses("has a kernel for every position", "LocallyConnected1D", "LocallyConnected2D")
refuses("makes spectra of sound", "MelSpectrogram", "STFTSpectrogram")
refuses(
    "changes an image by its own histogram", "AutoContrast",
    "ContrastLimitedAdaptiveHistogramEqualization",
)  # fmt: skip
refuses("is a list of layers that a graph does not show", "Pipeline")
refuses(
    "gives truth values or positions, which have no gradient",
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
refuses(
    "does not say in the file to which type it casts", "ops.Cast", "ops.SaturateCast", "ops.View"
)
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
