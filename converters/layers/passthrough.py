"""Layers that do nothing at inference, and layers that never can be converted."""

from __future__ import annotations

from converters.layers.call import LayerCall, Value
from converters.layers.registry import converts
from jaxviz.spec import Identity


@converts(
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout",
    "GaussianDropout", "GaussianNoise", "ActivityRegularization",
)  # fmt: skip
def training_only(call: LayerCall) -> Value:
    """Active in training alone."""
    call.ignore(*call.layer.config)
    return call.emit(Identity(), call.input)


@converts("Lambda")
def lambda_layer(call: LayerCall) -> Value:
    """Refused: it is Python code."""
    return call.refuse("holds Python code, which a spec cannot store")
