"""Activation functions: maps before and after them, and what another one would do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from jaxviz.errors import LayerError
from jaxviz.figures.canvas import number
from jaxviz.figures.capture import activated_layers, activation_after, capture, check_spatial
from jaxviz.figures.maps import Channels, ImagesLike, as_images, map_size, pick_channels
from jaxviz.figures.rows import Block, Page, Scale, Tile, draw_page
from jaxviz.figures.style import Theme, get_theme
from jaxviz.model import Model
from jaxviz.spec import Activation, InputRange, ModelSpec, Node
from jaxviz.spec.select import match_layers

#: What people call the common ones; `swapped_activations` compares them.
NAMED: dict[str, Activation] = {
    "ReLU": Activation(function="relu"),
    "leaky ReLU": Activation(function="leaky_relu"),
    "ELU": Activation(function="elu"),
    "tanh": Activation(function="tanh"),
    "sigmoid": Activation(function="sigmoid"),
    "GELU": Activation(function="gelu"),
    "SiLU": Activation(function="silu"),
}
# These squeeze all numbers into a short range: their result needs a scale of its own.
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
    """The same maps before and after the activation function, side by side.

    Both have one colour scale, so what the function lets through keeps its colour, and what it
    sets to zero is a hole. Only functions that squeeze their input (sigmoid, tanh) get a second
    scale for their result.

    Args:
        model: The network.
        images: Image files, or an array [image, height, width, channel] in input units.
        layers: Globs over names of layers; where left out, up to six of those that an
            activation follows, evenly spread. Batch norm may stand in between.
        maps: How many channels of each layer.
        channels: `first`, `strongest`, `variance` or numbers; see `feature_maps`.
        range_: What black and white are to the network, if its spec does not say so.
        theme: `light` or `dark`.
        title: Above everything.
        fig: Draw into this figure or subfigure, scaled to fit.
        ax: Draw into this axes, scaled to fit.

    Raises:
        LayerError: If a layer does not exist, has no maps, or no activation follows it.
    """
    spec, look = model.spec, get_theme(theme)
    pairs = activation_pairs(spec, layers)
    pictures = as_images(images, spec=spec, range_=range_)
    seen = capture(model, pictures.inputs, tuple(dict.fromkeys(n for pair in pairs for n in pair)))
    blocks = []
    for before, after in pairs:
        chosen = pick_channels(after, seen.maps[after], maps, channels)
        blocks.append(_pair(spec.node(after), seen.maps[before], seen.maps[after], chosen, look))
    notes = ["Grey holes: exactly zero.", "A layer's colours mean the same before and after."]
    if any(len(block.scales) > 1 for block in blocks):
        notes[1] = "Where there is one colour bar, colours mean the same before and after."
    return draw_page(
        Page(
            names=pictures.names,
            shown=pictures.shown,
            blocks=blocks,
            theme=look,
            title=title,
            notes=[*notes, *pictures.notes],
        ),
        fig=fig,
        ax=ax,
    )


def activation_pairs(spec: ModelSpec, layers: Sequence[str] = ()) -> tuple[tuple[str, str], ...]:
    """(before, after) of every layer asked for; LayerError naming all that have no activation."""
    names = match_layers(spec, layers) if layers else activated_layers(spec)
    check_spatial(spec, names)
    pairs, problems = [], []
    for name in names:
        try:
            pairs.append(activation_after(spec, name.removesuffix("/pre_activation")))
        except LayerError as error:
            problems.append(error.summary)
    if problems:
        raise LayerError(
            "not all of these layers have an activation function",
            details=problems,
            hint="`jaxviz layers MODEL` lists every layer.",
        )
    return tuple(dict.fromkeys(pairs))


def function_name(node: Node) -> str:
    """What people call a node's activation function.

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
    """How much of a map is exactly zero.

    Example:
        >>> zeros(np.array([0.0, 0.0, 1.0, 2.0]))
        '50 % zero'
    """
    share = float(np.mean(values == 0))
    return f"{100 * share:.0f} % zero" if share else ""
