"""One layer with other activation functions in the place of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from jaxviz.errors import ConfigError, ImageSizeError
from jaxviz.figures.activations import NAMED, activation_pairs, function_name, zeros
from jaxviz.figures.canvas import Canvas
from jaxviz.figures.choose import Channels
from jaxviz.figures.classes import output_bars
from jaxviz.figures.look import MARGIN, Look
from jaxviz.figures.request import FigureRequest, ImagesLike
from jaxviz.figures.rows import CAPTION, GAP, Scale, Side, heading, map_size
from jaxviz.figures.style import Theme
from jaxviz.figures.text import line_height, wrap
from jaxviz.model import Model, node_weights, run
from jaxviz.model.ops import compute
from jaxviz.spec import Activation, InputRange, ModelSpec, Node, PRelu

_TILE = 1.0
_CURVE = 1.25
_REACH = 4.0
_BETWEEN = 0.35
_ROW = _TILE + CAPTION + 0.14
_HEADER = 0.42
_NOTES = (
    "Grey holes: exactly zero.",
    "One colour scale for all maps, so functions that squeeze their input look pale.",
)
_TRAINED = "The rest of the network was trained with {}."


@dataclass(frozen=True)
class _Swap:
    """One function in the place of the layer's own.

    Attributes:
        name: The function's name.
        op: The function.
        maps: The maps after it, [image, height, width, channel] or those of the one image.
        output: The network's output, [image, …].
    """

    name: str
    op: Activation | PRelu
    maps: np.ndarray
    output: np.ndarray


@dataclass(frozen=True)
class _Rows:
    """Everything that the figure shows of the network.

    Attributes:
        layer: The layer whose function is swapped.
        size: Size and number of its maps, as a subtitle.
        channels: The channels shown.
        before: Their maps before the function, [height, width, channel].
        swaps: A row for each function, its own first; maps [height, width, channel].
        side: The network's conclusions, a row for each function.
    """

    layer: str
    size: str
    channels: Sequence[int]
    before: np.ndarray
    swaps: Sequence[_Swap]
    side: Side | None

    @property
    def width(self) -> float:
        """Width of the maps in inches, with room for the layer's name."""
        return max(len(self.channels) * (_TILE + GAP) - GAP, 1.6)


def swapped_activations(
    model: Model,
    images: ImagesLike | str | os.PathLike[str],
    *,
    layer: str | None = None,
    maps: int = 3,
    channels: Channels = "variance",
    labels: Sequence[str] | None = None,
    range_: InputRange | None = None,
    theme: str | Theme = "light",
    title: str = "",
    fig: Figure | SubFigure | None = None,
    ax: Axes | None = None,
) -> Figure:
    """One layer with other activation functions in the place of its own.

    A row for each function shows its curve, the maps after it, and the network's conclusion. The
    rest of the network was trained with the layer's own function.

    Args:
        model: The network.
        images: One image.
        layer: The layer whose activation is swapped; by default the first that has one.
        maps: Channels to show.
        channels: See `feature_maps`.
        labels: Names of the classes.
        range_: Values of black and white in the network's units; by default its spec's range.
        theme: `light` or `dark`.
        title: Text above everything.
        fig: Draw into this figure or subfigure, scaled to fit.
        ax: Draw into this axes, scaled to fit.

    Returns:
        The figure.

    Raises:
        LayerError: If the layer does not exist, or no activation follows it.
        ImageSizeError: If there is not exactly one image.

    Example:
        >>> import jaxviz
        >>> model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
        >>> figure = swapped_activations(model, np.zeros((1, 96, 96, 3)), layer="conv2")
    """
    look = Look.of(theme, title, fig, ax)
    given = [images] if isinstance(images, (str, os.PathLike)) else images
    request = FigureRequest.of(model, given, look, maps=maps, channels=channels, range_=range_)
    count = len(request.images.inputs)
    if count != 1:
        raise ImageSizeError(
            f"activations are swapped for one image at a time, found {count} images"
        )
    return _draw(_rows(request, *_one_pair(model.spec, layer), labels), request)


def _one_pair(spec: ModelSpec, layer: str | None) -> tuple[str, str]:
    """The nodes before and after the one activation that is swapped."""
    pairs = activation_pairs(spec, [layer] if layer else ())
    if layer and len(pairs) > 1:
        raise ConfigError(f"{layer!r} names {len(pairs)} layers; one at a time is swapped")
    return pairs[0]


def _rows(request: FigureRequest, before: str, after: str, labels: Sequence[str] | None) -> _Rows:
    start = request.capture([before]).maps[before]
    swaps = _swaps(request, request.spec.node(after), start)
    chosen = list(request.pick(after, swaps[0].maps))
    outputs = np.concatenate([swap.output for swap in swaps])
    return _Rows(
        layer=after,
        size=map_size(start),
        channels=chosen,
        before=start[0][..., chosen],
        swaps=[replace(swap, maps=swap.maps[0][..., chosen]) for swap in swaps],
        side=output_bars(request.spec, outputs, labels) if outputs.ndim == 2 else None,
    )


def _swaps(request: FigureRequest, node: Node, before: np.ndarray) -> list[_Swap]:
    """The node's own function first, then the others."""
    own = function_name(node)
    assert isinstance(node.op, (Activation, PRelu))
    ops: dict[str, Activation | PRelu] = {own: node.op}
    ops |= {name: op for name, op in NAMED.items() if name != own}
    spec, weights, swaps = request.spec, request.model.arrays(), []
    for name, op in ops.items():
        other = node.model_copy(update={"op": op, "weights": node.weights if op is node.op else {}})
        maps = compute(op, node_weights(other, weights), jnp.asarray(before))
        fields = {field: getattr(spec, field) for field in type(spec).model_fields}
        fields["nodes"] = tuple(other if n.name == node.name else n for n in spec.nodes)
        changed = type(spec)(**fields)
        tensors = {spec.inputs[0].name: jnp.asarray(request.images.inputs)}
        output = run(changed, weights, tensors, [spec.outputs[0]])[spec.outputs[0]]
        swaps.append(_Swap(name, op, np.asarray(maps), np.asarray(output)))
    return swaps


def _draw(rows: _Rows, request: FigureRequest) -> Figure:
    look, pictures = request.look, request.images
    scale = Scale.of(rows.before, look.theme)
    block, side = rows.width, rows.side
    width = 2 * MARGIN + _CURVE + _BETWEEN + block + (_BETWEEN + side.width if side else 0)
    notes = wrap("  ".join([*_NOTES, _TRAINED.format(rows.swaps[0].name), *pictures.notes]),
                 width - 2 * MARGIN)  # fmt: skip
    body = look.top + _HEADER + (len(rows.swaps) + 1) * _ROW
    canvas = look.page(width, body + len(notes) * line_height(7.5) + MARGIN)
    maps_at = MARGIN + _CURVE + _BETWEEN
    side_at = maps_at + block + _BETWEEN
    pixels = "×".join(map(str, pictures.shown.shape[1:3]))
    heading(canvas, "input", pixels, MARGIN, look.top, _CURVE)
    heading(canvas, rows.layer, rows.size, maps_at, look.top, block)
    y = look.top + _HEADER
    canvas.text(MARGIN, y + CAPTION / 2, pictures.names[0], size=7.5, width=_CURVE)
    canvas.image((MARGIN, y + CAPTION, _TILE, _TILE), pictures.shown[0] / 255.0, frame=True)
    captions = [f"before: {k}" for k in rows.channels]
    _tiles(canvas, rows.before, captions, scale, maps_at, y, holes=False)
    if side:
        heading(canvas, side.title, side.subtitle, side_at, look.top, side.width)
        _legend(canvas, side, scale, side_at, y)
    for number, swap in enumerate(rows.swaps):
        y = look.top + _HEADER + (number + 1) * _ROW
        own = number == 0
        canvas.text(MARGIN, y + CAPTION / 2, swap.name + (" (its own)" if own else ""), size=8.5,
                    bold=True, width=_CURVE)  # fmt: skip
        _curve(canvas, swap.op, MARGIN, y + CAPTION, own=own)
        captions = [zeros(values) for values in np.moveaxis(swap.maps, -1, 0)]
        _tiles(canvas, swap.maps, captions, scale, maps_at, y)
        if side:
            side.draw(canvas, number, side_at, y + CAPTION, _TILE)
    canvas.paragraph(MARGIN, body, notes)
    return canvas.figure


def _legend(canvas: Canvas, side: Side, scale: Scale, left: float, top: float) -> None:
    """The colour bar of all maps, in the first row of the side."""
    bar = min(1.4, side.width)
    canvas.text(left, top + 0.45, "colours of all maps", size=7.5, width=side.width)
    canvas.colour_bar(left, top + 0.58, bar, scale.colormap, scale.limits, clipped=scale.clipped)


def _tiles(
    canvas: Canvas,
    maps: np.ndarray,
    captions: Sequence[str],
    scale: Scale,
    left: float,
    top: float,
    *,
    holes: bool = True,
) -> None:
    for j, caption in enumerate(captions):
        x = left + j * (_TILE + GAP)
        canvas.text(x, top + CAPTION / 2, caption, size=7, colour=canvas.theme.muted, width=_TILE)
        canvas.image(
            (x, top + CAPTION, _TILE, _TILE),
            maps[..., j],
            colormap=scale.colormap,
            limits=scale.limits,
            holes=holes,
            frame=True,
        )


def _curve(canvas: Canvas, op: Activation | PRelu, left: float, top: float, *, own: bool) -> None:
    """Draw a function from -4 to 4, with one scale for both axes and all functions."""
    theme = canvas.theme
    xs = np.linspace(-_REACH, _REACH, 321)
    low, high = -2.0, _REACH
    unit = min(_CURVE / (2 * _REACH), _TILE / (high - low))
    middle, zero = left + _REACH * unit, top + high * unit
    canvas.line([left, left + 2 * _REACH * unit], [zero, zero])
    canvas.line([middle, middle], [top, top + (high - low) * unit])
    for tick in (-4, 4):
        # Curves are below the axis on the left and above it on the right; the numbers are not.
        x, y = middle + tick * unit, zero + (0.09 if tick > 0 else -0.09)
        align = "left" if tick < 0 else "right"
        canvas.text(x, y, f"{tick}".replace("-", "−"), size=6, colour=theme.muted,
                    align=align)  # fmt: skip
    if not isinstance(op, Activation):
        canvas.text(middle, top + 0.3, "slopes learned", size=7, align="center", width=_CURVE)
        return
    ys = np.asarray(compute(op, {}, jnp.asarray(xs)[None, :, None]))[0, :, 0]
    inside = (ys >= low) & (ys <= high)
    canvas.line(
        (middle + xs[inside] * unit).tolist(),
        (zero - ys[inside] * unit).tolist(),
        colour=theme.accent if own else theme.second,
        thickness=2.0,
    )
