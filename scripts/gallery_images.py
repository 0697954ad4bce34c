"""Make the input images of the gallery: crops of public-domain photographs, and drawings.

    .venv/bin/python scripts/gallery_images.py

Writes docs/images/*.png. scikit-image contains the photographs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageDraw

FOLDER = Path(__file__).parents[1] / "docs" / "images"

#: For each image: the photograph, (top, left, side) of the crop, and the saved side in pixels.
CUTS = {
    "hubble_spiral": ("hubble_deep_field", (363, 86, 76), 96),
    "hubble_elliptical": ("hubble_deep_field", (426, 678, 96), 96),
    "hubble_edge_on": ("hubble_deep_field", (382, 556, 48), 96),
    "hubble_pair": ("hubble_deep_field", (128, 420, 64), 96),
    "astronaut": ("astronaut", (46, 160, 128), 128),
    "cat": ("chelsea", (80, 200, 220), 128),
}


def cut(source: str, square: tuple[int, int, int], side: int) -> Image.Image:
    top, left, size = square
    pixels = getattr(skimage.data, source)()[top : top + size, left : left + size]
    return Image.fromarray(np.asarray(pixels)).resize((side, side), Image.Resampling.LANCZOS)


def shirt(draw: ImageDraw.ImageDraw) -> None:
    body = [(90, 30), (115, 45), (165, 45), (190, 30), (265, 75), (240, 130), (205, 110)]
    draw.polygon([*body, (205, 255), (75, 255), (75, 110), (40, 130), (15, 75)], fill=180)
    for x in range(80, 205, 20):
        draw.line([(x, 60), (x, 250)], fill=205, width=6)


def trousers(draw: ImageDraw.ImageDraw) -> None:
    legs = [(95, 20), (185, 20), (205, 262), (155, 262), (140, 90), (125, 262), (75, 262)]
    draw.polygon(legs, fill=190)
    draw.line([(140, 25), (140, 90)], fill=120, width=5)
    draw.rectangle((95, 20, 185, 34), fill=140)


def bag(draw: ImageDraw.ImageDraw) -> None:
    draw.arc((85, 40, 195, 190), 180, 360, fill=150, width=14)
    draw.rounded_rectangle((35, 110, 245, 245), 14, fill=175)
    draw.line([(35, 150), (245, 150)], fill=110, width=6)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, (source, square, side) in CUTS.items():
        cut(source, square, side).save(FOLDER / f"{name}.png", optimize=True)
    for sketch in (shirt, trousers, bag):
        image = Image.new("L", (280, 280))
        sketch(ImageDraw.Draw(image))
        small = image.resize((56, 56), Image.Resampling.LANCZOS)
        small.save(FOLDER / f"drawn_{sketch.__name__}.png", optimize=True)


if __name__ == "__main__":
    main()
