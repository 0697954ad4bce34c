"""Normalisation."""

from __future__ import annotations

from converters.layers.call import LayerCall, Value
from converters.layers.registry import converts
from jaxviz.spec import BatchNorm


@converts("BatchNormalization", "SyncBatchNormalization", "BatchNormalizationV1")
def batch_normalization(call: LayerCall) -> Value:
    """By the statistics of the training set."""
    call.ignore("renorm_clipping", "renorm_momentum", "virtual_batch_size", "fused", "renorm")
    axis = call.option("axis", -1)
    if isinstance(axis, list) and len(axis) == 1:
        axis = axis[0]
    if type(axis) is not int:
        call.refuse(f"axis={axis!r} is not one axis")
    scale, center = bool(call.option("scale", True)), bool(call.option("center", True))
    weights = {}
    if scale:
        weights["gamma"] = call.weight("gamma")
    if center:
        weights["beta"] = call.weight("beta")
    weights["mean"] = call.weight("moving_mean", trainable=False)
    weights["variance"] = call.weight("moving_variance", trainable=False)
    op = BatchNorm(
        epsilon=call.option("epsilon", 1e-3), scale=scale, center=center,
        axis=call.input.axis(axis),
    )  # fmt: skip
    return call.emit(op, call.input, weights=weights)
