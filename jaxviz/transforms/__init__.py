"""Random changes of a picture that a unit has to be robust to.

A signal is an image of one row; nothing moves across an axis of one pixel.

Every unit draws its own at every step, from its own key. All are differentiable, all have
sizes that are known beforehand (one compiled program serves every draw), and none costs
much beside a network: resampling along the axes is two small matrix products, however many
transforms in a row do it.
"""

from typing import Annotated

from pydantic import Field

from jaxviz.transforms.base import Reading, Transform, apply_all, size_after
from jaxviz.transforms.moved import Crop, Flip, Jitter, Pad
from jaxviz.transforms.pixels import Noise, Rotate
from jaxviz.transforms.resampled import Blur, Box, Octaves, Scale

AnyTransform = Annotated[
    Pad | Jitter | Scale | Octaves | Rotate | Crop | Box | Blur | Flip | Noise,
    Field(discriminator="kind"),
]
#: Every transform by the name that it has in a preset.
TRANSFORMS: dict[str, type[Transform]] = {
    kind.model_fields["kind"].default: kind
    for kind in (Pad, Jitter, Scale, Octaves, Rotate, Crop, Box, Blur, Flip, Noise)
}

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
