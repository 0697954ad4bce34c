"""Architectures as data: a closed set of operations, JSON in and out, no computation.

One file a family of operations; `model.py` puts them together.
"""

from jaxviz.spec.conv import Conv, ConvTranspose, Dense, DepthwiseConv
from jaxviz.spec.elementwise import (
    ACTIVATIONS,
    Activation,
    Affine,
    BatchNorm,
    Identity,
    Merge,
    PRelu,
)
from jaxviz.spec.layout import (
    Concatenate,
    Crop,
    Flatten,
    Pad,
    Permute,
    RepeatVector,
    Reshape,
    Upsample,
)
from jaxviz.spec.model import (
    CONVOLUTIONS,
    AnyOp,
    InputRange,
    InputSpec,
    ModelSpec,
    Node,
    Source,
)
from jaxviz.spec.op import Op, Padding, Shape
from jaxviz.spec.pool import GlobalPool, Pool

__all__ = [
    "ACTIVATIONS", "CONVOLUTIONS", "Activation", "Affine", "AnyOp", "BatchNorm", "Concatenate",
    "Conv", "ConvTranspose", "Crop", "Dense", "DepthwiseConv", "Flatten", "GlobalPool", "Identity",
    "InputRange", "InputSpec", "Merge", "ModelSpec", "Node", "Op", "PRelu", "Pad", "Padding",
    "Permute", "Pool", "RepeatVector", "Reshape", "Shape", "Source", "Upsample",
]  # fmt: skip
