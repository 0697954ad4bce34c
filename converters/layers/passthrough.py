"""Layers that do nothing at inference, and layers that never can be converted."""

from __future__ import annotations

from converters.layers.call import LayerCall, Value
from converters.layers.registry import converts
from jaxviz.spec import Identity


@converts(
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout",
    "GaussianDropout", "GaussianNoise", "ActivityRegularization", "Identity", "StochasticDepth",
    "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast",
    "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur",
    "RandomGrayscale", "RandomHeight", "RandomHue", "RandomInvert", "RandomPerspective",
    "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear",
    "RandomTranslation", "RandomWidth", "RandomZoom", "RandAugment", "AugMix", "MixUp", "CutMix",
)  # fmt: skip
def training_only(call: LayerCall) -> Value:
    """Active in training alone."""
    call.ignore(*call.layer.config)
    if not call.keras2:  # at inference Keras 3 overrides what a call says; Keras 2 obeys it
        call.ignore("training")
    return call.emit(Identity(), call.input)


@converts("Lambda")
def lambda_layer(call: LayerCall) -> Value:
    """Refused: it is Python code."""
    return call.refuse("holds Python code, which a spec cannot store")


@converts("Masking")
def masking(call: LayerCall) -> Value:
    """Refused: a mask travels beside the tensor and changes what later layers compute."""
    return call.refuse("masks what follows, which a spec has no way to say")
