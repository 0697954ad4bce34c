"""Convolution by hand: a small kernel slides over a small image, and every number is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from jaxviz.errors import ConfigError
from jaxviz.figures.worked import check_grid
from jaxviz.model.ops.windows import window_counts
from jaxviz.spec.op import same_padding

Padding = Literal["valid", "same"]

#: Kernels by name.
KERNELS: dict[str, tuple[tuple[float, ...], ...]] = {
    "vertical-edge": ((1, 0, -1), (1, 0, -1), (1, 0, -1)),
    "horizontal-edge": ((1, 1, 1), (0, 0, 0), (-1, -1, -1)),
    "outline": ((-1, -1, -1), (-1, 8, -1), (-1, -1, -1)),
    "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
    "mean": ((0.25, 0.25), (0.25, 0.25)),
}
#: A bright bent bar on a dark ground, which has edges in several directions.
EXAMPLE_IMAGE = (
    (0, 0, 8, 8, 0, 0),
    (0, 0, 8, 8, 0, 0),
    (0, 0, 8, 8, 1, 0),
    (0, 4, 8, 8, 4, 0),
    (0, 4, 4, 4, 4, 0),
    (0, 0, 1, 1, 0, 0),
)


@dataclass(frozen=True)
class Worked:
    """A convolution done by hand.

    Attributes:
        padded: The image with its border of zeros, [row, column].
        outside: True in the border, [row, column].
        kernel: [row, column].
        output: [row, column].
        stride: Cells from one window to the next.
        dilation: Cells from one element of the window to the next.
    """

    padded: np.ndarray
    outside: np.ndarray
    kernel: np.ndarray
    output: np.ndarray
    stride: int
    dilation: int

    def window(self, row: int, column: int) -> tuple[slice, slice]:
        """The cells of `padded` that an output cell is computed from."""
        height, width = ((n - 1) * self.dilation + 1 for n in self.kernel.shape)
        top, left = row * self.stride, column * self.stride
        return slice(top, top + height, self.dilation), slice(left, left + width, self.dilation)

    def products(self, row: int, column: int) -> np.ndarray:
        """The products that an output cell is the sum of, [row, column]."""
        return self.padded[self.window(row, column)] * self.kernel


def convolve(
    image: ArrayLike,
    kernel: ArrayLike,
    *,
    stride: int = 1,
    padding: Padding = "valid",
    dilation: int = 1,
) -> Worked:
    """Slide a kernel over an image as Keras does, keeping every intermediate number.

    Args:
        image: [row, column].
        kernel: [row, column]; it is not flipped.
        stride: Cells from one window to the next.
        padding: `valid` keeps the window inside the image. `same` adds a border of zeros by
            TensorFlow's rule, so that at stride 1 the output is as large as the image.
        dilation: Cells from one element of the window to the next.

    Raises:
        ConfigError: If the kernel does not fit into the image, or an option is wrong.

    Example:
        >>> convolve([[1, 2], [3, 4]], [[1, 0], [0, 1]]).output.tolist()
        [[5.0]]
    """
    picture, weights = check_grid("image", image), check_grid("kernel", kernel)
    if padding not in ("valid", "same"):
        raise ConfigError(f"there is no padding {padding!r}", hint="There are: valid, same.")
    if min(stride, dilation) < 1:
        raise ConfigError(f"stride {stride} and dilation {dilation} must be at least 1")
    steps, spread, window = (stride, stride), (dilation, dilation), weights.shape
    border = ((0, 0), (0, 0))
    if padding == "same":
        border = same_padding(picture.shape, window, steps, spread)  # type: ignore[assignment]
    rows, columns = window_counts(picture.shape, window, steps, spread, border)
    if min(rows, columns) < 1:
        reach = "×".join(str((n - 1) * dilation + 1) for n in window)
        size = "×".join(map(str, picture.shape))
        raise ConfigError(
            f"a window of {reach} does not fit into an image of {size}",
            hint="Take a larger image, a smaller dilation, or padding same.",
        )
    padded = np.pad(picture, border)
    outside = np.pad(np.zeros(picture.shape, bool), border, constant_values=True)
    worked = Worked(padded, outside, weights, np.zeros((rows, columns)), stride, dilation)
    for row, column in np.ndindex(rows, columns):
        worked.output[row, column] = worked.products(row, column).sum()
    return worked


def worked_example(
    image: ArrayLike | None,
    kernel: ArrayLike | None,
    *,
    stride: int,
    padding: Padding,
    dilation: int,
) -> Worked:
    """`convolve` with an image and a kernel of its own where None is given.

    Example:
        >>> worked_example(None, None, stride=1, padding="valid", dilation=1).output.shape
        (4, 4)
    """
    return convolve(
        EXAMPLE_IMAGE if image is None else image,
        KERNELS["vertical-edge"] if kernel is None else kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
    )


def parse_grid(text: str) -> np.ndarray:
    """Read a grid of numbers: rows divided by semicolons, or the name of a kernel.

    Raises:
        ConfigError: If it is neither.

    Example:
        >>> parse_grid("1 0; 0 -1").tolist()
        [[1.0, 0.0], [0.0, -1.0]]
    """
    if text in KERNELS:
        return np.array(KERNELS[text], np.float64)
    try:
        rows = [[float(n) for n in row.replace(",", " ").split()] for row in text.split(";")]
        return np.array(rows, np.float64)
    except ValueError:
        raise ConfigError(
            f"{text!r} is not a grid of numbers",
            hint=f'Expected rows such as "1 0 -1; 1 0 -1", or one of: {", ".join(KERNELS)}.',
        ) from None
