"""Image files as input of a network, and as people see them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from jaxviz.errors import ImageSizeError
from jaxviz.imaging.arrays import fitted, read_array
from jaxviz.imaging.ranges import ValueRange, known_range
from jaxviz.imaging.screen import displayed
from jaxviz.spec import InputRange, ModelSpec

#: Largest image, because the whole image is held in memory; a square of 16,384 pixels.
_MOST_PIXELS = 1 << 28


@dataclass(frozen=True)
class Images:
    """Images ready for a network.

    Attributes:
        inputs: float32 [image, height, width, channel], in the network's input units.
        shown: uint8 [image, height, width, 3], the pixels for people.
        names: Name of each image: the file's name without its ending.
        notes: Changes that were made to the images, one sentence each.

    Example:
        >>> from_arrays(np.zeros((2, 8, 8, 3)), ["a", "b"]).shown.shape
        (2, 8, 8, 3)
    """

    inputs: np.ndarray
    shown: np.ndarray
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_images(
    paths: Sequence[str | os.PathLike[str]],
    spec: ModelSpec,
    *,
    size: tuple[int, int] | None = None,
    range_: InputRange | None = None,
) -> Images:
    """Read image files for a network.

    A picture is cut to the network's proportions about its centre and resized. Grey becomes
    RGB, or RGB grey, where the network takes the other. Values are mapped to the network's
    input range. A `.npy` file [height, width, channel] is used unchanged, in the network's
    units; it may have any number of channels.

    Args:
        paths: Image files of any kind that Pillow reads, or `.npy`.
        spec: The network's architecture.
        size: (height, width) in pixels, where the network takes any; where left out, the
            network's own or the first image's.
        range_: Values of black and white; where left out, the range in the spec, or 0 to 255
            where the network's first layer rescales, or 0 to 1.

    Returns:
        The images in the network's units, and as people see them.

    Raises:
        ImageSizeError: If a file is no image, or its channels or size do not fit.

    Example:
        >>> import jaxviz, tempfile
        >>> path = Path(tempfile.mkdtemp()) / "grey.png"
        >>> Image.new("L", (80, 60), 128).save(path)
        >>> spec = jaxviz.load_bundle(jaxviz.example("galaxy_cnn.keras")).spec
        >>> read_images([path], spec).inputs.shape
        (1, 96, 96, 3)
    """
    if len(spec.inputs) != 1 or len(spec.inputs[0].shape) != 3:
        shapes = ", ".join("×".join(str(n or "any") for n in i.shape) for i in spec.inputs)
        raise ImageSizeError(
            f"model {spec.name!r} does not take one image: its inputs are {shapes}"
        )
    if not paths:
        raise ImageSizeError("there are no images")
    height, width, channels = spec.inputs[0].shape
    assert channels is not None
    wanted = (height, width) if height and width else size
    network, notes = _range(spec, range_)
    arrays, shown, problems = [], [], []
    for path in map(Path, paths):
        try:
            array, display, done = _read(path, wanted, channels, network)
        except ImageSizeError as error:
            problems.append(error)
            continue
        wanted = wanted or array.shape[:2]
        notes |= done
        arrays.append(array)
        shown.append(display)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ImageSizeError(
            f"{len(problems)} of {len(paths)} images cannot be used",
            details=[problem.summary for problem in problems],
            hint=problems[0].hint,
        )
    names = tuple(Path(path).stem for path in paths)
    return Images(np.stack(arrays), np.stack(shown), names, tuple(sorted(notes)))


def from_arrays(images: np.ndarray, names: Sequence[str] = ()) -> Images:
    """Images from arrays that are in the network's units already.

    Args:
        images: [image, height, width, channel].
        names: One per image; numbers where left out.

    Returns:
        The same values, with uint8 images for people beside them.

    Raises:
        ImageSizeError: If the array has another number of axes.

    Example:
        >>> from_arrays(np.zeros((2, 8, 8, 3))).names
        ('image 0', 'image 1')
    """
    inputs = np.asarray(images, np.float32)
    if inputs.ndim != 4:
        raise ImageSizeError(
            f"images have shape {inputs.shape}, expected [image, height, width, channel]"
        )
    shown = np.stack([array_shown(image, None) for image in inputs])
    return Images(inputs, shown, tuple(names) or tuple(f"image {i}" for i in range(len(inputs))))


def array_shown(image: np.ndarray, network: InputRange | None) -> np.ndarray:
    """An input of the network as pixels for people.

    Args:
        image: [height, width, channel] in the network's units.
        network: The network's range. Where it is None, values from 0 to 1 are shown unchanged,
            and others are stretched from black to white.

    Returns:
        uint8 [height, width, 3].

    Example:
        >>> array_shown(np.array([[[-2.0]], [[2.0]]]) * np.ones((2, 2, 1)), None)[:, 0, 0]
        array([  0, 255], dtype=uint8)
    """
    if network is not None:
        unit = np.asarray(ValueRange(0.0, 1.0, network).to_display(image))
    else:
        low, high = float(np.nanmin(image)), float(np.nanmax(image))
        inside = low >= 0 and high <= 1
        unit = image if inside else (image - low) / max(high - low, 1e-12)
    pixels = displayed((np.clip(np.nan_to_num(unit), 0, 1) * 255).round().astype(np.uint8)[None])[0]
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=-1)


def _range(spec: ModelSpec, given: InputRange | None) -> tuple[InputRange, set[str]]:
    """The input range, with a note where it is a guess."""
    known = given or known_range(spec)
    if known is not None:
        return known, set()
    note = "The network's input range is not known; 0 to 1 is taken (--range LO:HI changes it)."
    return InputRange(low=(0.0,), high=(1.0,)), {note}


def _read(
    path: Path, wanted: tuple[int, int] | None, channels: int, network: InputRange
) -> tuple[np.ndarray, np.ndarray, set[str]]:
    """One file: its input in the network's units, its pixels for people, and notes."""
    if path.suffix.lower() == ".npy":
        array = read_array(path, channels)
        if wanted and array.shape[:2] != wanted:
            raise ImageSizeError(
                f"{path.name!r} is {array.shape[0]}×{array.shape[1]} pixels, "
                f"expected {wanted[0]}×{wanted[1]}"
            )
        return array, array_shown(array, network), set()
    picture = _picture(path)
    unit, display = _fit(picture, wanted or (picture.height, picture.width), channels)
    return _to_network(unit, network), display, _converted(picture, display, channels)


def _picture(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about size and metadata
            with Image.open(path) as file:
                if file.width * file.height > _MOST_PIXELS:
                    raise ImageSizeError(
                        f"{path.name!r} has {file.width}×{file.height} pixels, "
                        f"expected at most {_MOST_PIXELS:,}",
                        hint="Reduce the image first; the network takes far fewer pixels.",
                    )
                picture = ImageOps.exif_transpose(file)
                picture.load()
                return picture
    except FileNotFoundError:
        raise ImageSizeError(f"there is no image {str(path)!r}") from None
    except (UnidentifiedImageError, Image.DecompressionBombError):
        raise ImageSizeError(f"{str(path)!r} is not an image that can be read") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise ImageSizeError(f"{str(path)!r} cannot be read as an image: {error}") from error


def _fit(
    picture: Image.Image, size: tuple[int, int], channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """(float32 [height, width, channels] in [0, 1], uint8 [height, width, 3])."""
    if channels not in (1, 3):
        raise ImageSizeError(
            f"the network takes {channels} channels, which an image file does not have",
            hint="Give .npy files [height, width, channel] in the network's input units.",
        )
    if picture.mode.startswith("I") or picture.mode == "F":  # 16 bits and more
        deep = np.asarray(picture, np.float64)
        high = 65535.0 if picture.mode.startswith("I") else max(float(deep.max()), 1e-12)
        picture = Image.fromarray((np.clip(deep / high, 0, 1) * 255).round().astype(np.uint8))
    if picture.has_transparency_data:
        # Transparent pixels become black, as most networks were trained, and as the sky is.
        opaque = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        opaque.alpha_composite(picture.convert("RGBA"))
        picture = opaque
    mode = "L" if channels == 1 else "RGB"
    resized = ImageOps.fit(picture.convert(mode), size[::-1], Image.Resampling.LANCZOS)
    pixels = np.asarray(resized).reshape(*size, channels)
    return pixels.astype(np.float32) / 255, np.broadcast_to(pixels, (*size, 3)).copy()


def _converted(picture: Image.Image, shown: np.ndarray, channels: int) -> set[str]:
    """One sentence for every change that was made to a picture."""
    notes = set()
    grey = picture.mode in ("1", "L", "LA", "F") or picture.mode.startswith("I")
    if grey and channels == 3:
        notes.add("Grey images were given to all three colour channels.")
    if not grey and channels == 1:
        notes.add("Colour images were turned grey.")
    height, width = shown.shape[:2]
    if (picture.height, picture.width) != (height, width):
        cut = picture.height * width != picture.width * height
        how = "cut to the network's proportions and resized" if cut else "resized"
        notes.add(f"Images were {how} to {height}×{width}.")
    return notes


def _to_network(unit: np.ndarray, network: InputRange) -> np.ndarray:
    """From [0, 1] to the network's units."""
    units = ValueRange(0.0, 1.0, network)
    units.check_channels(unit.shape[-1])
    return np.asarray(units.to_network(unit), np.float32)


def read_image(path: str, *, spec: ModelSpec, shape: tuple[int, int, int]) -> np.ndarray:
    """Read one image at a picture's size.

    An image file is cut about its middle to the picture's proportions and resized. So is a
    `.npy` array [height, width, channel], or [length, channel] for a network of signals.

    Args:
        path: An image file, or a `.npy` file in the network's units.
        spec: The network's architecture, with its range.
        shape: (height, width, channels) of the picture.

    Returns:
        float32 [height, width, channels] in the network's units.

    Raises:
        ImageSizeError: If the file is no image, or has another number of channels.

    Example:
        >>> import jaxviz, tempfile
        >>> path = Path(tempfile.mkdtemp()) / "grey.png"
        >>> Image.new("L", (80, 60), 128).save(path)
        >>> spec = jaxviz.load_bundle(jaxviz.example("galaxy_cnn.keras")).spec
        >>> read_image(str(path), spec=spec, shape=(32, 32, 3)).shape
        (32, 32, 3)
    """
    if Path(path).suffix.lower() == ".npy":
        array = read_array(Path(path), shape[2], signal=shape[0] == 1)
        return fitted(array, shape)
    if len(spec.inputs[0].shape) != 3:
        raise ImageSizeError(
            f"{Path(path).name!r} is an image, but the network takes signals",
            hint="Give .npy arrays [length, channel] in the network's units.",
        )
    # Pictures may be larger or smaller than the network's own input.
    anything = spec.inputs[0].model_copy(update={"shape": (None, None, shape[2])})
    free = spec.model_copy(update={"inputs": (anything, *spec.inputs[1:])})
    read = read_images([Path(path)], free, size=(shape[0], shape[1]))
    image: np.ndarray = read.inputs[0]
    return image
