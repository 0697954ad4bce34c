"""The contact sheet of a layer: one image with every unit's picture and number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxviz.atlas.layout import Box, Layout, layout_of
from jaxviz.atlas.manifest import LayerPlan
from jaxviz.imaging.screen import displayed
from jaxviz.status import UnitStatus

#: Statuses whose pictures are dimmed and hatched, because such a picture is not a result.
MARKED = frozenset([UnitStatus.DEAD, UnitStatus.FAILED])

_BACKGROUND = "#14161a"
_EMPTY = "#1b1e23"
_FRAME = "#3a4048"
_TITLE = "#f3f5f7"
_NOTE = "#9aa3ad"
_LABEL = "#c6ccd3"
# Weight of the picture, against the background, under the mark of a dead or failed unit.
_DIMMED = 0.3
_SMALLEST_WORD = 10
_LONGEST_TITLE = 200


@dataclass(frozen=True)
class _Words:
    """Text in one colour."""

    text: str
    colour: str = _NOTE


def draw_sheet(
    plan: LayerPlan, read_images: Callable[[range], np.ndarray], status: np.ndarray
) -> Image.Image:
    """Draw the sheet of a layer.

    Dead and failed units are dimmed and hatched. The status stands across the tile, and the
    number has the status's colour. Pending units are empty frames. The sheet of a network with
    grey input is a grey image.

    Args:
        plan: The layer.
        read_images: Returns the pictures of a range of units, uint8
            [unit, height, width, depth]. It is called for one piece at a time.
        status: `UnitStatus` codes, [unit].
    """
    layout = layout_of(plan)
    grey = plan.depth == 1 and plan.height > 1
    sheet = Image.new("L" if grey else "RGB", (layout.width, layout.height), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    _header(draw, layout, plan, status)
    font = ImageFont.load_default(layout.label_size)
    for units in plan.pieces():
        if (status[units.start : units.stop] != UnitStatus.PENDING).any():
            pictures = displayed(read_images(units))
        for unit in units:
            state = UnitStatus(status[unit])
            box = layout.tile(unit)
            if state is UnitStatus.PENDING:
                draw.rectangle((box.left, box.top, box.right - 1, box.bottom - 1), _EMPTY, _FRAME)
            else:
                picture = Image.fromarray(pictures[unit - units.start])
                sheet.paste(_tile(picture, box, state), (box.left, box.top))
            _label(draw, layout, unit, str(plan.channels[unit]), state, font)
    return sheet


def _tile(picture: Image.Image, box: Box, state: UnitStatus) -> Image.Image:
    larger = box.width >= picture.width and box.height >= picture.height
    how = Image.Resampling.NEAREST if larger else Image.Resampling.LANCZOS
    tile = picture.resize((box.width, box.height), how)
    if state not in MARKED:
        return tile
    tile = Image.blend(Image.new(tile.mode, tile.size, _BACKGROUND), tile, _DIMMED)
    # Opposite slants tell dead from failed on grey sheets and without colour vision.
    rows, columns = np.indices((box.height, box.width))
    slant = columns + rows if state is UnitStatus.DEAD else columns - rows
    period = max(6, min(box.width, box.height) // 8)
    mask = Image.fromarray(np.where(slant % period < max(1, period // 8), 130, 0).astype(np.uint8))
    tile.paste(state.colour, (0, 0, *tile.size), mask)
    _word(ImageDraw.Draw(tile), box, state)
    return tile


def _word(draw: ImageDraw.ImageDraw, box: Box, state: UnitStatus) -> None:
    size = min(round(box.width / 5.5), round(box.height / 2), 48)
    if size < _SMALLEST_WORD:
        return
    font = ImageFont.load_default(size)
    centre = (box.width / 2, box.height / 2)
    left, top, right, bottom = draw.textbbox(centre, state.label, font, anchor="mm")
    pad = size * 0.35
    draw.rounded_rectangle(
        (left - pad, top - pad, right + pad, bottom + pad), radius=pad, fill=_BACKGROUND
    )
    draw.text(centre, state.label, state.colour, font, anchor="mm")


def _label(
    draw: ImageDraw.ImageDraw,
    layout: Layout,
    unit: int,
    text: str,
    state: UnitStatus,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    box = layout.label(unit)
    colour = _LABEL if state is UnitStatus.DONE else state.colour
    draw.text((box.left + box.width / 2, box.top + box.height / 2), text, colour, font, anchor="mm")


def _header(draw: ImageDraw.ImageDraw, layout: Layout, plan: LayerPlan, status: np.ndarray) -> None:
    box = layout.header
    name = plan.name[:_LONGEST_TITLE]
    title = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    _line(draw, box, box.top, layout.title_size, [_Words(title, _TITLE)])
    _line(draw, box, box.top + 1.5 * layout.title_size, layout.note_size, _notes(plan, status))


def _notes(plan: LayerPlan, status: np.ndarray) -> list[_Words]:
    notes = [_Words(f"{plan.units} filter{'s' * (plan.units != 1)}")]
    for state in UnitStatus:
        if count := np.count_nonzero(status == state):
            notes.append(_Words(f"{count} {state.label}", state.colour))
    notes.append(_Words(plan.size_text.replace("×", "by")))  # the font has no "×"
    if plan.height == 1 and plan.depth > 1:
        notes.append(_Words(f"{plan.depth} channels"))
    elif plan.depth not in (1, 3):
        notes.append(_Words(f"{plan.depth} input channels in false colour"))
    if plan.preset:
        notes.append(_Words(f"preset {plan.preset}"))
    return [part for note in notes for part in (_Words("  ·  "), note)][1:]


def _line(draw: ImageDraw.ImageDraw, box: Box, top: float, size: int, parts: list[_Words]) -> None:
    """Write words on one line. Long lines get a smaller font, then an ellipsis."""
    font = ImageFont.load_default(size)
    length = sum(draw.textlength(part.text, font) for part in parts)
    if length > box.width and size > _SMALLEST_WORD:
        return _line(draw, box, top, max(_SMALLEST_WORD, int(size * box.width / length)), parts)
    left = float(box.left)
    for part in parts:
        text = part.text
        while text and left + draw.textlength(text, font) > box.right:
            text = text[:-2] + "…" if len(text) > 2 else ""
        draw.text((left, top), text, part.colour, font)
        left += draw.textlength(text, font)
