"""What a unit can reach at most: a bound that proves some units dead.

Intervals are passed from the image's range through the network, one per channel. They are
wide, but true: where the upper bound of what goes into a ReLU is not above zero, no image
in the range makes the unit fire.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from jaxviz.spec import (
    Activation,
    Affine,
    BatchNorm,
    Conv,
    Dense,
    DepthwiseConv,
    Identity,
    Merge,
    ModelSpec,
    Node,
    Pad,
    Pool,
)

#: Lowest and highest value of each channel, float64 [channels].
Interval = tuple[np.ndarray, np.ndarray]


def channel_bounds(
    spec: ModelSpec, params: Mapping[str, Mapping[str, np.ndarray]], layer: str, image: Interval
) -> Interval | None:
    """Bounds of each channel of a layer over all images in a range.

    Args:
        spec: The architecture.
        params: Weights by layer and name.
        layer: Name of a node.
        image: The range of each channel of the image, in the network's units.

    Returns:
        (lowest, highest) [channels], or None where an operation on the way has no bound here.

    Example:
        >>> import jaxviz
        >>> bundle = jaxviz.load_bundle(jaxviz.example("galaxy_cnn.keras"))
        >>> pixels = np.zeros(3), np.ones(3)
        >>> low, high = channel_bounds(bundle.spec, bundle.weights, "conv1", pixels)
        >>> bool((low <= high).all())
        True
    """
    known: dict[str, Interval | None] = dict.fromkeys((i.name for i in spec.inputs), image)
    for node in spec.upstream([layer]):
        inputs = [known[name] for name in node.inputs]
        weights = {role: np.asarray(params[node.layer][n]) for role, n in node.weights.items()}
        with np.errstate(invalid="ignore", over="ignore"):  # broken weights prove nothing
            found = None if any(i is None for i in inputs) else _bounds(node, weights, inputs)
        known[node.name] = found
    return known[layer]


def _bounds(node: Node, weights: dict[str, np.ndarray], inputs: list) -> Interval | None:
    op, (low, high) = node.op, inputs[0]
    if isinstance(op, Conv) and op.groups == 1 or isinstance(op, Dense) and low.size > 1:
        kernel = weights["kernel"].reshape(-1, *weights["kernel"].shape[-2:])
        if kernel.shape[1] != low.size:
            return None
        low, high = _with_padding(op, low, high)
        return _weighted(kernel, low[None, :, None], high[None, :, None], (0, 1), weights)
    if isinstance(op, DepthwiseConv):
        kernel = weights["kernel"].reshape(-1, *weights["kernel"].shape[-2:])
        low, high = _with_padding(op, low, high)
        found = _weighted(kernel, low[None, :, None], high[None, :, None], (0,), {})
        bias = weights.get("bias", np.zeros(1))
        return found[0].reshape(-1) + bias, found[1].reshape(-1) + bias
    if isinstance(op, BatchNorm) and op.axis == -1:
        scale = 1 / np.sqrt(weights["variance"].astype(np.float64) + op.epsilon)
        scale = scale * weights.get("gamma", 1.0)
        offset = weights.get("beta", 0.0) - weights["mean"] * scale
        return _affine(low, high, scale, offset)
    if isinstance(op, Affine):
        return _affine(low, high, np.asarray(op.scale), np.asarray(op.offset))
    if isinstance(op, Activation) and op.function in ("linear", "relu"):
        return _relu(op, low), _relu(op, high)
    if isinstance(op, Merge) and op.kind in ("add", "average"):
        share = 1 / len(inputs) if op.kind == "average" else 1.0
        return sum(i[0] for i in inputs) * share, sum(i[1] for i in inputs) * share
    if isinstance(op, Pad):  # zeros
        return np.minimum(low, 0), np.maximum(high, 0)
    if isinstance(op, (Pool, Identity)):
        return low, high
    return None


def _with_padding(op: Conv | DepthwiseConv | Dense, low: np.ndarray, high: np.ndarray) -> Interval:
    """Zeros around a map count too."""
    if isinstance(op, Dense) or op.padding == "valid":
        return low, high
    return np.minimum(low, 0), np.maximum(high, 0)


def _weighted(
    kernel: np.ndarray, low: np.ndarray, high: np.ndarray, axes: tuple[int, ...], weights: Mapping
) -> Interval:
    kernel = kernel.astype(np.float64)
    positive, negative = np.maximum(kernel, 0), np.minimum(kernel, 0)
    bias = weights.get("bias", 0.0)
    least = (positive * low + negative * high).sum(axes) + bias
    return least, (positive * high + negative * low).sum(axes) + bias


def _affine(low: np.ndarray, high: np.ndarray, scale: np.ndarray, offset: np.ndarray) -> Interval:
    ends = low * scale + offset, high * scale + offset
    return np.minimum(*ends), np.maximum(*ends)


def _relu(op: Activation, x: np.ndarray) -> np.ndarray:
    if op.function == "linear":
        return x
    threshold = op.arguments.get("threshold", 0.0)
    closed = op.arguments.get("negative_slope", 0.0) * (x - threshold)
    return np.where(x > threshold, np.minimum(x, op.arguments.get("max_value", np.inf)), closed)
