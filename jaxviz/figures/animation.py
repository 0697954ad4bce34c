"""The worked convolution as an animation: the window moves, the output grows."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image

from jaxviz.errors import ConfigError
from jaxviz.figures.convolution import draw_step
from jaxviz.figures.convolve import Padding, worked_example
from jaxviz.figures.style import Theme, check_output, get_theme

_LAST_FRAME = 2.5  # seconds that the last picture stays


def convolution_animation(
    path: str | os.PathLike[str],
    image: ArrayLike | None = None,
    kernel: ArrayLike | None = None,
    *,
    stride: int = 1,
    padding: Padding = "valid",
    dilation: int = 1,
    theme: str | Theme = "light",
    seconds: float = 0.7,
    dpi: int = 100,
) -> Path:
    """Write the worked example as an animated GIF: the window moves, the output grows.

    Args:
        path: Ends in .gif.
        image: [row, column]; by default a small one with edges.
        kernel: [row, column]; by default the vertical edge detector.
        stride: Cells from one window to the next.
        padding: `valid` or `same`.
        dilation: Cells from one element of the window to the next.
        theme: `light` or `dark`.
        seconds: Duration of each step.
        dpi: Pixels per inch.

    Returns:
        The path.

    Raises:
        ConfigError: If the file cannot be written or an option is wrong.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "steps.gif"
        >>> convolution_animation(path, [[1, 2], [3, 4]], [[1, 1]], dpi=40).name
        'steps.gif'
    """
    path = check_output(path, (".gif",))
    worked = worked_example(image, kernel, stride=stride, padding=padding, dilation=dilation)
    look = get_theme(theme)
    steps = worked.output.size
    pictures = [_pixels(draw_step(worked, padding, step, look), dpi) for step in range(steps)]
    frames = _indexed(pictures)
    held = [round(1000 * seconds)] * (steps - 1) + [round(1000 * max(seconds, _LAST_FRAME))]
    try:
        frames[0].save(
            path, save_all=True, append_images=frames[1:], duration=held, loop=0, optimize=True
        )
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    return path


def _indexed(pictures: list[np.ndarray]) -> list[Image.Image]:
    """Pictures uint8 [height, width, 3] in the 256 commonest colours of all of them.

    All share a palette, or the page would flicker. Pillow's `quantize` is not used because it
    replaces colours that are in the palette.
    """
    packed = np.stack(pictures).astype(np.int32) @ (1 << 16, 1 << 8, 1)
    values, where, counts = np.unique(packed, return_inverse=True, return_counts=True)
    colours = (values[:, None] >> (16, 8, 0)).astype(np.uint8)
    palette = colours[np.argsort(-counts, kind="stable")[:256]]
    away = ((colours[:, None].astype(int) - palette.astype(int)) ** 2).sum(axis=-1)
    frames = []
    for part in away.argmin(axis=-1).astype(np.uint8)[where.reshape(packed.shape)]:
        frames.append(Image.fromarray(part))
        frames[-1].putpalette(palette.tobytes())
    return frames


def _pixels(figure: Figure, dpi: int) -> np.ndarray:
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
