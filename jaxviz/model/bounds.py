"""Bounds on the values a unit can reach, which prove some units dead.

Intervals, one per channel, pass from the image's range through the network. They are wide but
true: where the upper bound before a ReLU is not positive, no image in the range opens the ReLU.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from jaxviz.model.ops import rules_of
from jaxviz.model.ops.intervals import Interval
from jaxviz.spec import ModelSpec


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
        (lowest, highest) [channels], or None where an operation upstream has no known bound.

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
        inputs = [i for name in node.inputs if (i := known[name]) is not None]
        if len(inputs) < len(node.inputs):
            known[node.name] = None
            continue
        weights = {role: np.asarray(params[node.layer][n]) for role, n in node.weights.items()}
        with np.errstate(invalid="ignore", over="ignore"):  # weights that are not finite
            known[node.name] = rules_of(node.op).bounds(node.op, weights, inputs)
    return known[layer]
