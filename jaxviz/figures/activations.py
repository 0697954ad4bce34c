"""Activation functions: maps before and after them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from jaxviz.errors import LayerError
from jaxviz.figures.choose import Channels, check_spatial, is_spatial, spread
from jaxviz.figures.look import Look
from jaxviz.figures.request import FigureRequest, ImagesLike
from jaxviz.figures.rows import Block, Scale, Tile, map_size
from jaxviz.figures.style import Theme
from jaxviz.figures.text import number
from jaxviz.model import Model
from jaxviz.spec import Activation, Affine, BatchNorm, Identity, InputRange, ModelSpec, Node
from jaxviz.spec import Scale as ScaleOp
from jaxviz.spec.select import match_layers

#: Common activation functions by the names that people use; `swapped_activations` compares them.
NAMED: dict[str, Activation] = {
    "ReLU": Activation(function="relu"),
    "leaky ReLU": Activation(function="leaky_relu"),
    "ELU": Activation(function="elu"),
    "tanh": Activation(function="tanh"),
    "sigmoid": Activation(function="sigmoid"),
    "GELU": Activation(function="gelu"),
    "SiLU": Activation(function="silu"),
}
# Operations that may stand between a convolution and its activation.
_BETWEEN = (BatchNorm, Affine, ScaleOp, Identity)
# Functions with a short range of values, whose output needs a colour scale of its own.
_SQUEEZING = frozenset(
    ["tanh", "hard_tanh", "sigmoid", "hard_sigmoid", "hard_sigmoid_keras2", "softsign"]
)


def activation_maps(
    model: Model,
    images: ImagesLike,
    *,
    layers: Sequence[str] = (),
    maps: int = 2,
    channels: Channels = "variance",
    range_: InputRange | None = None,
    theme: str | Theme = "light",
    title: str = "",
    fig: Figure | SubFigure | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Maps before and after the activation function, side by side.

    Both share a colour scale, and exact zeros after the function are holes. Functions that squeeze
    their input (sigmoid, tanh) have a second scale for their output.

    Args:
        model: The network.
        images: Image files, or an array [image, height, width, channel] in input units.
        layers: Globs over names of layers that an activation follows, directly or after batch
            norm; by default up to six of them, evenly spread.
        maps: Channels of each layer.
        channels: See `feature_maps`.
        range_: Values of black and white in the network's units; by default its spec's range.
        theme: `light` or `dark`.
        title: Text above everything.
        fig: Draw into this figure or subfigure, scaled to fit.
        ax: Draw into this axes, scaled to fit.

    Returns:
        The figure.

    Raises:
        LayerError: If a layer does not exist, has no maps, or no activation follows it.
        ImageSizeError: If an image cannot be read or does not fit.

    Example:
        >>> import jaxviz
        >>> model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
        >>> figure = activation_maps(model, np.zeros((1, 96, 96, 3)), layers=["conv1"])
    """
    look = Look.of(theme, title, fig, ax)
    pairs = activation_pairs(model.spec, layers)
    request = FigureRequest.of(model, images, look, maps=maps, channels=channels, range_=range_)
    return _draw(request, pairs)


def _draw(request: FigureRequest, pairs: Sequence[tuple[str, str]]) -> Figure:
    captured = request.capture(tuple(dict.fromkeys(name for pair in pairs for name in pair))).maps
    blocks = []
    for before, after in pairs:
        chosen = request.pick(after, captured[after])
        node = request.spec.node(after)
        blocks.append(_pair(node, captured[before], captured[after], chosen, request.look.theme))
    notes = ["Grey holes: exactly zero.", "A layer's colours mean the same before and after."]
    if any(len(block.scales) > 1 for block in blocks):
        notes[1] = "Where there is one colour bar, colours mean the same before and after."
    return request.draw(blocks, notes)


def activation_pairs(spec: ModelSpec, layers: Sequence[str] = ()) -> tuple[tuple[str, str], ...]:
    """The names of the nodes before and after the activation of each layer.

    Args:
        spec: The architecture.
        layers: Globs over layer names; by default up to six convolutions.

    Raises:
        LayerError: Naming every layer that no activation follows.
    """
    names = match_layers(spec, layers) if layers else _activated_layers(spec)
    check_spatial(spec, names)
    pairs, problems = [], []
    for name in names:
        try:
            pairs.append(_activation_after(spec, name.removesuffix("/pre_activation")))
        except LayerError as error:
            problems.append(error.summary)
    if problems:
        raise LayerError(
            "not all of these layers have an activation function",
            details=problems,
            hint="`jaxviz layers MODEL` lists every layer.",
        )
    return tuple(dict.fromkeys(pairs))


def _activated_layers(spec: ModelSpec, most: int = 6) -> tuple[str, ...]:
    """The activations that follow convolutions, evenly spread if there are many."""
    found = []
    for name in spec.convolutions:
        try:
            _, after = _activation_after(spec, name)
        except LayerError:
            continue
        if after not in found and is_spatial(spec, after):
            found.append(after)
    if not found:
        raise LayerError(f"model {spec.name!r} has no convolution with an activation function")
    return spread(found, most)


def _activation_after(spec: ModelSpec, name: str) -> tuple[str, str]:
    """(node before, node after) the activation of a layer or of the layers right behind it."""
    node = spec.node(name)
    while not _has_curve(node.op):
        readers = [n for n in spec.nodes if node.name in n.inputs]
        if len(readers) != 1 or not (
            isinstance(readers[0].op, _BETWEEN) or _has_curve(readers[0].op)
        ):
            raise LayerError(
                f"no activation function follows layer {name!r}",
                hint="It is linear, or the activation works on several layers' sum.",
            )
        node = readers[0]
    return node.inputs[0], node.name


def _has_curve(op: object) -> bool:
    """Whether an operation is a function of single numbers, unlike softmax."""
    return isinstance(op, Activation) and op.channelwise and op.function != "linear"


def function_name(node: Node) -> str:
    """The name that people use for a node's activation function.

    Example:
        >>> op = Activation(function="relu", arguments={"max_value": 6.0})
        >>> function_name(Node(name="a", layer="a", inputs=("x",), op=op))
        'ReLU, at most 6'
    """
    if not isinstance(node.op, Activation):
        return "PReLU"
    same = (name for name, op in NAMED.items() if op.function == node.op.function)
    name = next(same, node.op.function.replace("_", " "))
    most = node.op.arguments.get("max_value")
    slope = node.op.arguments.get("negative_slope") if node.op.function == "relu" else None
    if slope:
        name = "leaky ReLU"
    return f"{name}, at most {number(most)}" if most is not None else name


def _pair(
    node: Node, before: np.ndarray, after: np.ndarray, chosen: Sequence[int], theme: Theme
) -> Block:
    first = Scale.of(before[..., list(chosen)], theme)
    squeezed = isinstance(node.op, Activation) and node.op.function in _SQUEEZING
    second = Scale.of(after[..., list(chosen)], theme) if squeezed else first
    grids = [
        [
            [
                Tile(was[..., k], first, str(k)),
                Tile(now[..., k], second, zeros(now[..., k]), holes=True),
            ]
            for k in chosen
        ]
        for was, now in zip(before, after, strict=True)
    ]
    scales = ((0, 0, first), (1, 1, second)) if squeezed else ((0, 1, first),)
    return Block(
        title=node.name,
        subtitle=f"{function_name(node)} · {map_size(after)}",
        grids=grids,
        heads=("before", "after"),
        scales=scales,
    )


def zeros(values: np.ndarray) -> str:
    """The share of exact zeros in a map, as a caption; empty if there are none.

    Example:
        >>> zeros(np.array([0.0, 0.0, 1.0, 2.0]))
        '50 % zero'
    """
    share = float(np.mean(values == 0))
    return f"{100 * share:.0f} % zero" if share else ""
