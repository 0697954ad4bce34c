"""Arrays in `.npy` files: images of any number of channels, in the network's units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from jaxviz.errors import ImageSizeError


def read_array(path: Path, channels: int, *, signal: bool = False) -> np.ndarray:
    """Read an image or a signal from a `.npy` file.

    Args:
        path: The file: [height, width, channel], or [height, width] for one channel. For a
            signal also [length, channel].
        channels: Number of channels that the network takes.
        signal: Whether the network takes signals, which are images of one row.

    Returns:
        float32 [height, width, channel].

    Raises:
        ImageSizeError: If there is no such file, or it holds anything else.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "signal.npy"
        >>> np.save(path, np.zeros((50, 2)))
        >>> read_array(path, 2, signal=True).shape
        (1, 50, 2)
    """
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise ImageSizeError(f"there is no image {str(path)!r}") from None
    except (OSError, ValueError, EOFError) as error:
        raise ImageSizeError(f"{str(path)!r} is not a NumPy array that can be read") from error
    expected = f"[length, {channels}]" if signal else f"[height, width, {channels}]"
    if not isinstance(array, np.ndarray):
        raise ImageSizeError(f"{path.name!r} holds several arrays, expected one of {expected}")
    found: np.ndarray = array
    if found.ndim == 2:
        found = found[None] if signal else found[..., None]
    if found.ndim != 3 or found.shape[-1] != channels or found.dtype.kind not in "fiub":
        raise ImageSizeError(
            f"{path.name!r} holds {found.dtype} of shape {list(found.shape)}, "
            f"expected numbers of shape {expected}"
        )
    return found.astype(np.float32)


def fitted(array: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Cut an image about its middle to the proportions of a shape, and resize it.

    Args:
        array: float32 [height, width, channel].
        shape: (height, width, channels) of the result; a signal, of one row, keeps its ends.

    Example:
        >>> fitted(np.zeros((20, 30, 5), np.float32), (10, 10, 5)).shape
        (10, 10, 5)
    """
    height, width = array.shape[:2]
    if array.shape == shape:
        return array
    share = min(height / shape[0], width / shape[1])
    tall, wide = max(1, round(shape[0] * share)), max(1, round(shape[1] * share))
    if shape[0] == 1:
        tall, wide = 1, width
    top, left = (height - tall) // 2, (width - wide) // 2
    cut = array[top : top + tall, left : left + wide]
    size, how = (shape[1], shape[0]), Image.Resampling.BILINEAR
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(cut, -1, 0)]
    return np.stack([np.asarray(plane.resize(size, how)) for plane in planes], axis=-1)
