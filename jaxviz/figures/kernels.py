"""The kernels of a network in one layout, and mosaics of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np

from jaxviz.errors import LayerError
from jaxviz.figures.choose import spread
from jaxviz.model import Model
from jaxviz.spec import CONVOLUTIONS, ConvTranspose, DepthwiseConv, ModelSpec, Node
from jaxviz.spec.select import match_layers

# Pixels between the kernels of a mosaic, and the least side of a kernel.
_GAP = 3
_SIDE = 24


@dataclass(frozen=True)
class Kernel:
    """The kernel of one layer.

    Attributes:
        name: The layer; `NAME/depthwise` for the first half of a separable convolution.
        values: [height, width, input, filter]. Depthwise kernels have one input, and a filter
            for each pair of input channel and multiple.
        depthwise: Whether each filter sees a single channel.
    """

    name: str
    values: np.ndarray
    depthwise: bool

    @property
    def pointwise(self) -> bool:
        """Whether the kernel is 1×1."""
        return self.values.shape[:2] == (1, 1)

    @property
    def size(self) -> str:
        """The kernel's shape in words.

        Example:
            >>> Kernel("conv1", np.zeros((5, 5, 3, 16)), depthwise=False).size
            '16 filters, 5×5×3'
        """
        height, width, inputs, filters = self.values.shape
        shape = f"{height}×{width}" if self.depthwise else f"{height}×{width}×{inputs}"
        count = f"{filters} filters" if filters != 1 else "1 filter"
        return f"{count}, {shape}{', depthwise' if self.depthwise else ''}"


def kernels(model: Model, patterns: Sequence[str] = (), most: int = 6) -> tuple[Kernel, ...]:
    """The kernels of some layers.

    Args:
        model: The network.
        patterns: Globs over layer names; by default all convolutions.
        most: Without patterns, at most this many kernels, evenly spread.

    Raises:
        LayerError: If a pattern matches nothing, or a layer is no convolution of images.
    """
    nodes = {_kernel_name(n): n for n in model.spec.nodes if isinstance(n.op, CONVOLUTIONS)}
    names = _named(model.spec, nodes, patterns)
    weights = model.arrays()
    found = []
    for name in names if patterns else spread(names, most):
        node = nodes[name]
        found.append(_kernel(name, node, np.asarray(weights[node.layer][node.weights["kernel"]])))
    return tuple(found)


def _named(spec: ModelSpec, nodes: dict[str, Node], patterns: Sequence[str]) -> list[str]:
    if not patterns:
        names = list(nodes)
    else:
        names = [n.removesuffix("/pre_activation") for n in match_layers(spec, patterns)]
        # A glob skips layers that are not convolutions; a name does not.
        names = [n for n in dict.fromkeys(names) if n in nodes or n in patterns]
    problems = [f"{n}: {spec.node(n).op.op}" for n in names if n not in nodes]
    flat = {n: len(nodes[n].op.window) for n in names if n in nodes}  # type: ignore[attr-defined]
    problems += [f"{n}: a convolution over {axes} axes" for n, axes in flat.items() if axes > 2]
    if problems or not names:
        raise LayerError(
            f"not all of these layers of {spec.name!r} are convolutions of images"
            if problems
            else f"model {spec.name!r} has no convolution of that name",
            details=problems,
            hint="`jaxviz layers MODEL` lists every layer.",
        )
    return names


def _kernel_name(node: Node) -> str:
    return node.output_name if node.stage in ("", "pre_activation") else node.name


def _kernel(name: str, node: Node, values: np.ndarray) -> Kernel:
    if values.ndim == 3:  # one axis: a row
        values = values[None]
    if isinstance(node.op, ConvTranspose):
        values = values.swapaxes(2, 3)
    depthwise = isinstance(node.op, DepthwiseConv)
    if depthwise:
        height, width, channels, multiple = values.shape
        values = values.reshape(height, width, 1, channels * multiple)
    return Kernel(name, values, depthwise)


def columns_for(count: int) -> int:
    """Columns of a grid for this many tiles: wider than high, with full rows if possible.

    Example:
        >>> columns_for(16), columns_for(32), columns_for(6), columns_for(7)
        (4, 8, 3, 4)
    """
    candidates = range(ceil(sqrt(count)), ceil(sqrt(2.5 * count)) + 1)
    return min(candidates, key=lambda c: (-count % c, abs(c - sqrt(2 * count))))


def mosaic(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Tiles side by side, with gaps of NaN; each value is a square of pixels.

    Args:
        tiles: [tile, height, width] or [tile, height, width, 3].
        columns: Tiles in a row.

    Example:
        >>> mosaic(np.ones((4, 3, 3)), 2).shape
        (51, 51)
    """
    count, height, width, *depth = tiles.shape
    factor = max(1, _SIDE // max(height, width))
    large = tiles.repeat(factor, axis=1).repeat(factor, axis=2)
    down, across = height * factor + _GAP, width * factor + _GAP
    rows = -(-count // columns)
    result = np.full((rows * down - _GAP, columns * across - _GAP, *depth), np.nan)
    for number, tile in enumerate(large):
        y, x = number // columns * down, number % columns * across
        result[y : y + down - _GAP, x : x + across - _GAP] = tile
    return result
