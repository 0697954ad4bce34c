"""Layers that do nothing at inference."""

from __future__ import annotations

from converters.layers.call import LayerCall
from converters.layers.registry import converts
from converters.layers.value import Value
from jaxviz.spec import Identity


@converts(
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout",
    "GaussianDropout", "GaussianNoise", "ActivityRegularization", "Identity", "StochasticDepth",
    "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast",
    "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur",
    "RandomGrayscale", "RandomHeight", "RandomHue", "RandomInvert", "RandomPerspective",
    "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear",
    "RandomTranslation", "RandomWidth", "RandomZoom", "RandAugment", "AugMix", "MixUp", "CutMix",
    "Equalization", "Solarization",
)  # fmt: skip
def training_only(call: LayerCall) -> Value:
    """Active only in training; the identity at inference."""
    call.ignore(*call.layer.config)
    if not call.keras2:  # at inference Keras 3 ignores this argument; Keras 2 obeys it
        call.ignore("training")
    return call.emit(Identity(), call.input)
