"""Architectures as data: a closed set of operations, JSON in and out, no computation.

One file a family of operations; `model.py` puts them together.
"""

from jaxviz.spec.conv import Conv, ConvTranspose, Dense, DepthwiseConv
from jaxviz.spec.einsum import Einsum, EinsumDense, einsum_shape
from jaxviz.spec.elementwise import (
    ACTIVATIONS,
    Activation,
    Affine,
    BatchNorm,
    Identity,
    Math,
    Merge,
    PRelu,
    Scale,
)
from jaxviz.spec.layout import (
    Concatenate,
    Crop,
    Expand,
    Flatten,
    Pad,
    Permute,
    RepeatVector,
    Reshape,
    Resize,
    Slice,
    Squeeze,
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
from jaxviz.spec.norm import GroupNorm, LayerNorm, Reduce, UnitNorm
from jaxviz.spec.op import Op, Padding, Shape
from jaxviz.spec.pool import GlobalPool, Pool

__all__ = [
    "ACTIVATIONS", "CONVOLUTIONS", "Activation", "Affine", "AnyOp", "BatchNorm", "Concatenate",
    "Conv", "ConvTranspose", "Crop", "Dense", "DepthwiseConv", "Einsum", "EinsumDense", "Expand",
    "Flatten", "GlobalPool", "GroupNorm", "Identity", "InputRange", "InputSpec", "LayerNorm",
    "Math", "Merge", "ModelSpec", "Node", "Op", "PRelu", "Pad", "Padding", "Permute", "Pool",
    "Reduce", "RepeatVector", "Reshape", "Resize", "Scale", "Shape", "Slice", "Source", "Squeeze",
    "UnitNorm", "Upsample", "einsum_shape",
]  # fmt: skip
