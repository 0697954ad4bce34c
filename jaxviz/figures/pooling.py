"""Pooling: maps before and after, the maximum against the average, and by hand."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from jaxviz.errors import ConfigError, LayerError
from jaxviz.figures.canvas import Canvas, line_height, wrap
from jaxviz.figures.capture import capture, check_spatial
from jaxviz.figures.maps import Channels, ImagesLike, as_images, map_size, pick_channels
from jaxviz.figures.rows import Block, Page, Scale, Tile, draw_page
from jaxviz.figures.style import Theme, get_theme
from jaxviz.figures.worked import (
    CELL,
    TITLE_ROOM,
    check_grid,
    draw_numbers,
    draw_window,
    sign,
    tint,
)
from jaxviz.model import Model
from jaxviz.model.ops import compute
from jaxviz.spec import InputRange, ModelSpec, Pool
from jaxviz.spec.select import match_layers

#: Numbers whose windows have clear winners, some of them far above the rest.
EXAMPLE_MAP = (
    (1, 3, 0, 2, 5, 1),
    (0, 8, 1, 1, 2, 4),
    (2, 0, 6, 7, 0, 0),
    (1, 1, 5, 2, 0, 9),
    (4, 2, 0, 1, 3, 3),
    (0, 6, 2, 0, 1, 2),
)
KINDS = ("max", "average")
_CAPTION = (
    "The maximum keeps the strongest answer of each window, wherever in it that was. The "
    "average keeps the mean, so a single strong answer fades."
)
_MARGIN = 0.3
_GAP = 0.75


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

    The head of the column that the network really uses is marked with a dot. All three
    have the same colour scale, so that what averaging loses can be seen.

    Args:
        model: The network.
        images: See `feature_maps`.
        layers: Globs over pooling layers; all, at most 6, where left out.
        maps: How many channels of each.
        channels: See `feature_maps`; chosen by the maps before pooling.
        range_: See `feature_maps`.
        theme: `light` or `dark`.
        title: Above everything.
        fig: Draw into this figure or subfigure, scaled to fit.
        ax: Draw into this axes, scaled to fit.

    Returns:
        The figure.

    Raises:
        LayerError: If there is no pooling layer, or one named is of another kind.

    Example:
        >>> import jaxviz
        >>> model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
        >>> figure = pooling_maps(model, np.zeros((1, 96, 96, 3)), layers=["pool1"], maps=2)
    """
    look, seen_images = get_theme(theme), as_images(images, spec=model.spec, range_=range_)
    names = pooling_layers(model.spec, layers)
    sources = [model.spec.node(name).inputs[0] for name in names]
    inner = [source for source in sources if source in model.spec.by_name]
    seen = capture(model, seen_images.inputs, inner).maps
    blocks = []
    for name, source in zip(names, sources, strict=True):
        op = model.spec.node(name).op
        assert isinstance(op, Pool)
        before = seen[source] if source in seen else seen_images.inputs
        chosen = pick_channels(name, before, maps, channels)
        blocks.append(_block(name, op, before, chosen, look))
    notes = "● what the network does. The three columns share one colour scale."
    return draw_page(
        Page(
            names=seen_images.names,
            shown=seen_images.shown,
            blocks=blocks,
            theme=look,
            title=title,
            notes=[notes, *seen_images.notes],
        ),
        fig=fig,
        ax=ax,
    )


def pooled(maps: np.ndarray, op: Pool, kind: str) -> np.ndarray:
    """Maps [image, height, width, channel] pooled over an operation's windows by either kind.

    Example:
        >>> op = Pool(kind="max", window=(2, 2), strides=(2, 2), padding="valid")
        >>> maps = np.array([[1.0, 2.0], [3.0, 6.0]])[None, ..., None]
        >>> float(pooled(maps, op, "max").item()), float(pooled(maps, op, "average").item())
        (6.0, 3.0)
    """
    other = op.model_copy(update={"kind": kind})
    return np.asarray(compute(other, {}, jnp.asarray(maps, jnp.float32)))


def pooling_layers(spec: ModelSpec, patterns: Sequence[str] = (), most: int = 6) -> tuple[str, ...]:
    """The pooling layers over two axes: those named, else all up to `most`.

    Raises:
        LayerError: Naming those that are no such layers, or saying that there are none.
    """
    if patterns:
        names = match_layers(spec, patterns)
        check_spatial(spec, names)
    else:
        names = spec.layer_names
    pools = [n for n in names if isinstance(spec.node(n).op, Pool)]
    pools = [n for n in pools if len(spec.node(n).op.window) == 2]  # type: ignore[attr-defined]
    if not patterns:  # windows of one cell change nothing, and nobody asked to see it
        pools = [n for n in pools if max(spec.node(n).op.window) > 1]  # type: ignore[attr-defined]
    if patterns and len(pools) < len(names):
        wrong = [f"{n}: {spec.node(n).op.op}" for n in names if n not in pools]
        raise LayerError("these layers do not pool over height and width", details=wrong)
    if not pools:
        raise LayerError(f"model {spec.name!r} has no layer that pools over height and width")
    return tuple(pools[:most])


def pooling_example(
    values: np.ndarray | None = None,
    *,
    window: int = 2,
    stride: int | None = None,
    theme: str | Theme = "light",
    fig: Figure | SubFigure | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Pooling by hand: the windows on a grid of numbers, the values chosen, both results.

    Where windows overlap, only the first two are drawn.

    Args:
        values: [row, column]; an example where left out.
        window: Side of the window in cells.
        stride: Cells from one window to the next; the window's side where left out.
        theme: `light` or `dark`.
        fig: Draw into this figure or subfigure, scaled to fit.
        ax: Draw into this axes, scaled to fit.

    Returns:
        The figure.

    Raises:
        ConfigError: If the window does not fit the grid.

    Example:
        >>> figure = pooling_example([[1, 2], [3, 4]])
    """
    look = get_theme(theme)
    grid = check_grid("map", EXAMPLE_MAP if values is None else values)  # type: ignore[arg-type]
    stride = window if stride is None else stride
    if min(window, stride) < 1 or window > min(grid.shape):
        raise ConfigError(
            f"a window of {window} with stride {stride} does not fit a map of "
            f"{grid.shape[0]}×{grid.shape[1]}"
        )
    op = Pool(kind="max", window=(window,) * 2, strides=(stride,) * 2, padding="valid")
    results = {kind: pooled(grid[None, ..., None], op, kind)[0, ..., 0] for kind in KINDS}
    rows, columns = results["max"].shape
    widths = [max(n * CELL, 1.1) for n in (grid.shape[1], columns, columns)]
    width = 2 * _MARGIN + sum(widths) + _GAP + 0.4
    text = _CAPTION + (" Windows overlap here; the first two are drawn." if stride < window else "")
    caption = wrap(text, width - 2 * _MARGIN)
    tall = grid.shape[0] * CELL
    height = 2 * _MARGIN + 0.3 + TITLE_ROOM + tall + 0.2 + len(caption) * line_height(7.5)
    canvas = Canvas(width, height, look, fig=fig, ax=ax)
    heading = f"Pooling over {window}×{window} windows, stride {stride}"
    canvas.text(_MARGIN, _MARGIN + 0.05, heading, size=13, bold=True, width=width - 2 * _MARGIN)
    top = _MARGIN + 0.3 + TITLE_ROOM
    places = list(np.ndindex(rows, columns))
    if stride < window:
        places = places[: min(2, columns)]
    colours = {at: look.accent if (at[0] + at[1]) % 2 == 0 else look.second for at in places}
    _draw_grid(canvas, grid, colours, window, stride, top)
    middle = top + tall / 2
    left = _MARGIN + widths[0] + _GAP
    sign(canvas, left - _GAP / 2, middle, "pool")
    fills = {at: _soft(look, at) for at in places}
    for kind in KINDS:
        values_ = results[kind]
        y = middle - values_.shape[0] * CELL / 2
        note = "×".join(map(str, values_.shape))
        draw_numbers(canvas, left, y, values_, title=kind, note=note, fills=fills)
        left += widths[1] + 0.4
    canvas.paragraph(_MARGIN, height - _MARGIN - len(caption) * line_height(7.5), caption)
    return canvas.figure


def _draw_grid(
    canvas: Canvas,
    grid: np.ndarray,
    colours: dict[tuple[int, int], str],
    window: int,
    stride: int,
    top: float,
) -> None:
    winners: dict[tuple[int, int], str] = {}
    for row, column in colours:
        y, x = row * stride, column * stride
        inside = grid[y : y + window, x : x + window]
        down, right = np.unravel_index(int(inside.argmax()), inside.shape)
        at = y + int(down), x + int(right)
        # Two windows may have the same winner: it is of neither's colour.
        winners[at] = canvas.theme.faint if at in winners else _soft(canvas.theme, (row, column))
    note = "×".join(map(str, grid.shape)) + ", largest of each window filled"
    draw_numbers(canvas, _MARGIN, top, grid, title="map", note=note, fills=winners)
    for (row, column), colour in colours.items():
        y, x = row * stride, column * stride
        inset = 0.03 if stride >= window else 0.0
        draw_window(
            canvas, _MARGIN, top, slice(y, y + window), slice(x, x + window), colour, inset=inset
        )


def _soft(theme: Theme, at: tuple[int, int]) -> str:
    return tint(theme, 0.55 if sum(at) % 2 == 0 else -0.55)


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
