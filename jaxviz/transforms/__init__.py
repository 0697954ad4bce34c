"""Transforms: random changes of a picture that a unit has to be robust to.

Every unit draws its own at every step, from its own key. All transforms are differentiable.
The size that comes out does not depend on the draw, so that one compiled program serves every
draw. A resampling is one small matrix product per axis, however many transforms in a row
resample. A signal is an image of one row; nothing moves along an axis of one pixel.
"""

from jaxviz.transforms.base import Reading, Transform, apply_all, size_after
from jaxviz.transforms.moved import Crop, Flip, Jitter, Pad
from jaxviz.transforms.pixels import Noise, Rotate
from jaxviz.transforms.registry import TRANSFORMS, AnyTransform
from jaxviz.transforms.resampled import Blur, Box, Octaves, Scale

__all__ = [
    "TRANSFORMS",
    "AnyTransform",
    "Blur",
    "Box",
    "Crop",
    "Flip",
    "Jitter",
    "Noise",
    "Octaves",
    "Pad",
    "Reading",
    "Rotate",
    "Scale",
    "Transform",
    "apply_all",
    "size_after",
]
