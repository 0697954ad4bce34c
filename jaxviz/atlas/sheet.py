"""The contact sheet of a layer: every unit's picture, numbered, in one image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxviz.atlas.columns import UnitStatus
from jaxviz.atlas.layout import Box, Layout, layout_of
from jaxviz.atlas.manifest import LayerPlan
from jaxviz.imaging.screen import displayed

#: Their pictures are dimmed and hatched, because they are no result.
MARKED = frozenset([UnitStatus.DEAD, UnitStatus.FAILED])

_BACKGROUND = "#14161a"
_EMPTY = "#1b1e23"
_FRAME = "#3a4048"
_TITLE = "#f3f5f7"
_NOTE = "#9aa3ad"
_LABEL = "#c6ccd3"
# How much of a picture is left under the mark of a dead or failed unit.
_DIMMED = 0.3
_SMALLEST_WORD = 10
_LONGEST_TITLE = 200


def draw_sheet(
    plan: LayerPlan, read_images: Callable[[range], np.ndarray], status: np.ndarray
) -> Image.Image:
    """Draw the sheet of a layer.

    Units that are dead or failed are dimmed and hatched, with the word across the tile
    and the number in its colour; pending ones are empty frames. The sheet of a network
    with grey input is a grey image.

    Args:
        plan: The layer.
        read_images: Gives the images of a range of units, uint8
            [unit, height, width, depth]; asked for one chunk at a time.
        status: `UnitStatus` codes, [unit].
    """
    layout = layout_of(plan)
    grey = plan.depth == 1 and plan.height > 1
    sheet = Image.new("L" if grey else "RGB", (layout.width, layout.height), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    _header(draw, layout, plan, status)
    font = ImageFont.load_default(layout.label_size)
    for units in plan.chunks():
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
    # Dead and failed lean to opposite sides, for grey sheets and for every eye.
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
    _line(draw, box, box.top, layout.title_size, [(title, _TITLE)])
    _line(draw, box, box.top + 1.5 * layout.title_size, layout.note_size, _notes(plan, status))


def _notes(plan: LayerPlan, status: np.ndarray) -> list[tuple[str, str]]:
    # the font has no multiplication sign
    notes = [(f"{plan.units} filter{'s' * (plan.units != 1)}", _NOTE)]
    for state in UnitStatus:
        if count := np.count_nonzero(status == state):
            notes.append((f"{count} {state.label}", state.colour))
    notes.append((plan.size_text.replace("×", "by"), _NOTE))
    if plan.height == 1 and plan.depth > 1:
        notes.append((f"{plan.depth} channels", _NOTE))
    elif plan.depth not in (1, 3):
        notes.append((f"{plan.depth} input channels in false colour", _NOTE))
    if plan.preset:
        notes.append((f"preset {plan.preset}", _NOTE))
    return [part for note in notes for part in (("  ·  ", _NOTE), note)][1:]


def _line(
    draw: ImageDraw.ImageDraw, box: Box, top: float, size: int, parts: list[tuple[str, str]]
) -> None:
    """Write coloured parts on one line, smaller and in the end shortened where it is long."""
    font = ImageFont.load_default(size)
    length = sum(draw.textlength(text, font) for text, _ in parts)
    if length > box.width and size > _SMALLEST_WORD:
        return _line(draw, box, top, max(_SMALLEST_WORD, int(size * box.width / length)), parts)
    left = float(box.left)
    for text, colour in parts:
        while text and left + draw.textlength(text, font) > box.right:
            text = text[:-2] + "…" if len(text) > 2 else ""
        draw.text((left, top), text, colour, font)
        left += draw.textlength(text, font)
