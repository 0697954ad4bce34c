"""What another activation function would do in the place of a layer's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from jaxviz.errors import ConfigError, ImageSizeError
from jaxviz.figures.activations import NAMED, activation_pairs, function_name, zeros
from jaxviz.figures.canvas import Canvas, line_height, wrap
from jaxviz.figures.capture import capture
from jaxviz.figures.classes import class_bars, class_labels
from jaxviz.figures.maps import Channels, ImagesLike, as_images, map_size, pick_channels
from jaxviz.figures.rows import CAPTION, GAP, MARGIN, Scale, Side, heading
from jaxviz.figures.style import Theme, get_theme
from jaxviz.imaging.files import Images
from jaxviz.model import Model, node_weights, run
from jaxviz.model.ops import compute
from jaxviz.spec import Activation, InputRange, Node, PRelu

_TILE = 1.0
_CURVE = 1.25
_REACH = 4.0
_BETWEEN = 0.35
_ROW = _TILE + CAPTION + 0.14
_HEADER = 0.42


@dataclass(frozen=True)
class _Swap:
    """One function in the layer's place, and what comes of it."""

    name: str
    op: Activation | PRelu
    maps: np.ndarray
    output: np.ndarray


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

    Below the image and the layer's pre-activations a row for each function: its curve, the maps
    that it makes of those pre-activations, and what the rest of the network, which was trained
    with the layer's own function, concludes from them.

    Args:
        model: The network.
        images: One image.
        layer: The layer whose activation is swapped; the first that has one, where left out.
        maps: How many channels.
        channels: `first`, `strongest`, `variance` or numbers; see `feature_maps`.
        labels: Names of the classes.
        range_: What black and white are to the network, if its spec does not say so.
        theme: `light` or `dark`.
        title: Above everything.
        fig: Draw into this figure or subfigure, scaled to fit.
        ax: Draw into this axes, scaled to fit.

    Raises:
        LayerError: If the layer does not exist or no activation follows it.
        ImageSizeError: If there is not exactly one image.

    Example:
        >>> import jaxviz
        >>> model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
        >>> figure = swapped_activations(model, np.zeros((1, 96, 96, 3)), layer="conv2")
        >>> bool(figure.get_size_inches()[1] > 5)
        True
    """
    spec, look = model.spec, get_theme(theme)
    given = [images] if isinstance(images, (str, os.PathLike)) else images
    pictures = as_images(given, spec=spec, range_=range_)
    if len(pictures.inputs) != 1:
        raise ImageSizeError(
            f"activations are swapped for one image at a time, found {len(pictures.inputs)} images"
        )
    pairs = activation_pairs(spec, [layer] if layer else ())
    if layer and len(pairs) > 1:
        raise ConfigError(f"{layer!r} names {len(pairs)} layers; one at a time is swapped")
    before, after = pairs[0]
    start = capture(model, pictures.inputs, [before]).maps[before]
    swaps = _swaps(model, pictures.inputs, spec.node(after), start)
    chosen = pick_channels(after, swaps[0].maps, maps, channels)
    side = None
    if swaps[0].output.ndim == 2:
        outputs = np.concatenate([swap.output for swap in swaps])
        side = class_bars(outputs, class_labels(spec, labels, outputs.shape[1]))
    return _draw(
        (after, map_size(start)),
        start[0][..., list(chosen)],
        [(swap.name, swap.op, swap.maps[0][..., list(chosen)]) for swap in swaps],
        chosen,
        pictures,
        side,
        look,
        title,
        fig=fig,
        ax=ax,
    )


def _swaps(model: Model, inputs: np.ndarray, node: Node, before: np.ndarray) -> list[_Swap]:
    """The node's own function first, then the others."""
    own = function_name(node)
    assert isinstance(node.op, (Activation, PRelu))
    ops: dict[str, Activation | PRelu] = {own: node.op}
    ops |= {name: op for name, op in NAMED.items() if name != own}
    spec, weights, swaps = model.spec, model.arrays(), []
    for name, op in ops.items():
        other = node.model_copy(update={"op": op, "weights": node.weights if op is node.op else {}})
        maps = compute(op, node_weights(other, weights), jnp.asarray(before))
        fields = {field: getattr(spec, field) for field in type(spec).model_fields}
        fields["nodes"] = tuple(other if n.name == node.name else n for n in spec.nodes)
        changed = type(spec)(**fields)
        tensors = {spec.inputs[0].name: jnp.asarray(inputs)}
        output = run(changed, weights, tensors, [spec.outputs[0]])[spec.outputs[0]]
        swaps.append(_Swap(name, op, np.asarray(maps), np.asarray(output)))
    return swaps


def _draw(
    layer: tuple[str, str],
    start: np.ndarray,
    rows: Sequence[tuple[str, Activation | PRelu, np.ndarray]],
    chosen: Sequence[int],
    pictures: Images,
    side: Side | None,
    theme: Theme,
    title: str,
    *,
    fig: Figure | SubFigure | None,
    ax: Axes | None,
) -> Figure:
    scale = Scale.of(start, theme)
    block = max(len(chosen) * (_TILE + GAP) - GAP, 1.6)
    width = 2 * MARGIN + _CURVE + _BETWEEN + block + (_BETWEEN + side.width if side else 0)
    notes = wrap(
        "  ".join(
            [
                "Grey holes: exactly zero.",
                "One colour scale for all maps, so functions that squeeze their input look pale.",
                f"The rest of the network was trained with {rows[0][0]}.",
                *pictures.notes,
            ]
        ),
        width - 2 * MARGIN,
    )
    top = MARGIN + (0.36 if title else 0.0)
    body = top + _HEADER + (len(rows) + 1) * _ROW
    canvas = Canvas(width, body + len(notes) * line_height(7.5) + MARGIN, theme, fig=fig, ax=ax)
    if title:
        canvas.text(MARGIN, MARGIN + 0.05, title, size=13, bold=True, width=width - 2 * MARGIN)
    maps_at = MARGIN + _CURVE + _BETWEEN
    side_at = maps_at + block + _BETWEEN
    heading(canvas, "input", "×".join(map(str, pictures.shown.shape[1:3])), MARGIN, top, _CURVE)
    heading(canvas, layer[0], layer[1], maps_at, top, block)
    if side:
        heading(canvas, side.title, side.subtitle, side_at, top, side.width)
    y = top + _HEADER
    canvas.text(MARGIN, y + CAPTION / 2, pictures.names[0], size=7.5, width=_CURVE)
    canvas.image((MARGIN, y + CAPTION, _TILE, _TILE), pictures.shown[0] / 255.0, frame=True)
    captions = [f"before: {k}" for k in chosen]
    _tiles(canvas, start, captions, scale, maps_at, y, holes=False)
    if side:
        bar = min(1.4, side.width)
        canvas.text(side_at, y + 0.45, "colours of all maps", size=7.5, width=side.width)
        canvas.colour_bar(
            side_at, y + 0.58, bar, scale.colormap, scale.limits, clipped=scale.clipped
        )
    for number, (name, op, maps) in enumerate(rows):
        y = top + _HEADER + (number + 1) * _ROW
        own = number == 0
        canvas.text(MARGIN, y + CAPTION / 2, name + (" (its own)" if own else ""), size=8.5,
                    bold=True, width=_CURVE)  # fmt: skip
        _curve(canvas, op, MARGIN, y + CAPTION, own=own)
        _tiles(canvas, maps, [zeros(m) for m in np.moveaxis(maps, -1, 0)], scale, maps_at, y)
        if side:
            side.draw(canvas, number, side_at, y + CAPTION, _TILE)
    canvas.paragraph(MARGIN, body, notes)
    return canvas.figure


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
    """The function from -4 to 4, to the same scale on both axes and for all functions."""
    theme = canvas.theme
    xs = np.linspace(-_REACH, _REACH, 321)
    low, high = -2.0, _REACH
    unit = min(_CURVE / (2 * _REACH), _TILE / (high - low))
    middle, zero = left + _REACH * unit, top + high * unit
    canvas.line([left, left + 2 * _REACH * unit], [zero, zero])
    canvas.line([middle, middle], [top, top + (high - low) * unit])
    for tick in (-4, 4):
        # Every curve runs below the axis on the left and above it on the right.
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
