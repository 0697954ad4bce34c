"""Pooling: maps before it, after the maximum, and after the average of the same windows."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from jaxviz.errors import LayerError
from jaxviz.figures.choose import Channels, check_spatial
from jaxviz.figures.look import Look
from jaxviz.figures.request import FigureRequest, ImagesLike
from jaxviz.figures.rows import Block, Scale, Tile, map_size
from jaxviz.figures.style import Theme
from jaxviz.model import Model
from jaxviz.model.ops import compute
from jaxviz.spec import InputRange, ModelSpec, Pool
from jaxviz.spec.select import match_layers

KINDS = ("max", "average")


def pooling_maps(
    model: Model,
    images: ImagesLike,
    *,
    layers: Sequence[str] = (),
    maps: int = 3,
    channels: Channels = "variance",
    range_: InputRange | None = None,
    theme: str | Theme = "light",
    title: str = "",
    fig: Figure | SubFigure | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Maps before a pooling layer, after the maximum, and after the average of the same windows.

    A dot marks the column that the network itself computes. All three columns share a colour
    scale, so that losses by averaging are visible.

    Args:
        model: The network.
        images: Image files, or an array [image, height, width, channel] in input units.
        layers: Globs over pooling layers; by default the first six.
        maps: Channels of each layer.
        channels: See `feature_maps`; chosen by the maps before pooling.
        range_: Values of black and white in the network's units; by default its spec's range.
        theme: `light` or `dark`.
        title: Text above everything.
        fig: Draw into this figure or subfigure, scaled to fit.
        ax: Draw into this axes, scaled to fit.

    Returns:
        The figure.

    Raises:
        LayerError: If the network has no pooling layer, or a named layer does not pool.
        ImageSizeError: If an image cannot be read or does not fit.

    Example:
        >>> import jaxviz
        >>> model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
        >>> figure = pooling_maps(model, np.zeros((1, 96, 96, 3)), layers=["pool1"], maps=2)
    """
    look = Look.of(theme, title, fig, ax)
    request = FigureRequest.of(model, images, look, maps=maps, channels=channels, range_=range_)
    return _draw(request, pooling_layers(model.spec, layers))


def _draw(request: FigureRequest, names: Sequence[str]) -> Figure:
    spec = request.spec
    sources = [spec.node(name).inputs[0] for name in names]
    captured = request.capture([source for source in sources if source in spec.by_name]).maps
    blocks = []
    for name, source in zip(names, sources, strict=True):
        op = spec.node(name).op
        assert isinstance(op, Pool)
        before = captured[source] if source in captured else request.images.inputs
        chosen = request.pick(name, before)
        blocks.append(_block(name, op, before, chosen, request.look.theme))
    note = "● what the network does. The three columns share one colour scale."
    return request.draw(blocks, [note])


def pooled(maps: np.ndarray, op: Pool, kind: str) -> np.ndarray:
    """Maps pooled over an operation's windows.

    Args:
        maps: [image, height, width, channel].
        op: Gives the windows.
        kind: `max` or `average`, whatever the operation's own is.

    Example:
        >>> op = Pool(kind="max", window=(2, 2), strides=(2, 2), padding="valid")
        >>> maps = np.array([[1.0, 2.0], [3.0, 6.0]])[None, ..., None]
        >>> float(pooled(maps, op, "max").item()), float(pooled(maps, op, "average").item())
        (6.0, 3.0)
    """
    other = op.model_copy(update={"kind": kind})
    return np.asarray(compute(other, {}, jnp.asarray(maps, jnp.float32)))


def pooling_layers(spec: ModelSpec, patterns: Sequence[str] = (), most: int = 6) -> tuple[str, ...]:
    """The layers that pool over height and width.

    Args:
        spec: The architecture.
        patterns: Globs over layer names; by default all layers whose window is not one cell.
        most: Layers at most.

    Raises:
        LayerError: If the model has none, or naming every layer asked for that does not pool.
    """
    if patterns:
        names = match_layers(spec, patterns)
        check_spatial(spec, names)
    else:
        names = spec.layer_names
    windows = {name: op.window for name in names if isinstance(op := spec.node(name).op, Pool)}
    pools = [name for name, window in windows.items() if len(window) == 2]
    if not patterns:  # windows of one cell change nothing
        pools = [name for name in pools if max(windows[name]) > 1]
    if patterns and len(pools) < len(names):
        wrong = [f"{n}: {spec.node(n).op.op}" for n in names if n not in pools]
        raise LayerError("these layers do not pool over height and width", details=wrong)
    if not pools:
        raise LayerError(f"model {spec.name!r} has no layer that pools over height and width")
    return tuple(pools[:most])


def _block(name: str, op: Pool, before: np.ndarray, chosen: Sequence[int], theme: Theme) -> Block:
    shown = before[..., list(chosen)]
    scale = Scale.of(shown, theme)
    after = {kind: pooled(shown, op, kind) for kind in KINDS}
    window = "×".join(map(str, op.window))
    if op.strides != op.window:
        window += f", stride {'×'.join(map(str, op.strides))}"
    small = "×".join(map(str, after["max"].shape[1:3]))
    grids = [
        [
            [
                Tile(shown[i, ..., k], scale, f"channel {channel}"),
                *(Tile(after[kind][i, ..., k], scale) for kind in KINDS),
            ]
            for k, channel in enumerate(chosen)
        ]
        for i in range(len(before))
    ]
    heads = ["before", *(f"{kind} ●" if kind == op.kind else kind for kind in KINDS)]
    subtitle = f"{map_size(before)} → {small}, windows {window}"
    return Block(name, subtitle, grids, heads=heads, scales=((0, 2, scale),))
