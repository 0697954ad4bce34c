"""Architectures as data: a closed set of operations, JSON in and out, no computation."""

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
from jaxviz.spec.ops.conv import Conv, ConvTranspose, Dense, DepthwiseConv
from jaxviz.spec.ops.einsum import Einsum, EinsumDense, einsum_shape
from jaxviz.spec.ops.elementwise import (
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
from jaxviz.spec.ops.layout import (
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
from jaxviz.spec.ops.norm import GroupNorm, LayerNorm, Reduce, UnitNorm
from jaxviz.spec.ops.pool import GlobalPool, Pool

__all__ = [
    "ACTIVATIONS", "CONVOLUTIONS", "Activation", "Affine", "AnyOp", "BatchNorm", "Concatenate",
    "Conv", "ConvTranspose", "Crop", "Dense", "DepthwiseConv", "Einsum", "EinsumDense", "Expand",
    "Flatten", "GlobalPool", "GroupNorm", "Identity", "InputRange", "InputSpec", "LayerNorm",
    "Math", "Merge", "ModelSpec", "Node", "Op", "PRelu", "Pad", "Padding", "Permute", "Pool",
    "Reduce", "RepeatVector", "Reshape", "Resize", "Scale", "Shape", "Slice", "Source", "Squeeze",
    "UnitNorm", "Upsample", "einsum_shape",
]  # fmt: skip
