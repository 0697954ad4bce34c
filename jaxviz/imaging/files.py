"""Image files as a network sees them, and as people do."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from jaxviz.errors import ImageSizeError
from jaxviz.imaging.ranges import ValueRange
from jaxviz.imaging.screen import displayed
from jaxviz.spec import Affine, InputRange, ModelSpec

#: An image is read into memory whole; this is a square of about 13,000 pixels.
_MOST_PIXELS = 1 << 28


@dataclass(frozen=True)
class Images:
    """Images ready for a network.

    Attributes:
        inputs: float32 [image, height, width, channel], in the network's input units.
        shown: uint8 [image, height, width, 3], the same pixels for people.
        names: What each is called: the file's name without its ending.
        notes: What was done to them, one sentence each.
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

    A picture is cut to the network's proportions about its centre and resized; grey becomes
    RGB or RGB grey where the network wants that, and the values are brought to its input
    range. A `.npy` file [height, width, channel] is taken as it is, in the network's units: the
    way in for any other number of channels.

    Args:
        paths: Image files of any kind that Pillow reads, or `.npy`.
        spec: The network.
        size: (height, width), where the network takes any; its own, or the first image's,
            where left out.
        range_: What black and white are to the network; where left out the range in the
            spec, or else 0 to 1 (0 to 255 where the network's first layer rescales).

    Raises:
        ImageSizeError: If a file is no image, or its channels or size do not fit.
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
    """Arrays that are in the network's units already.

    Args:
        images: [image, height, width, channel].
        names: One per image; numbers where left out.
    """
    inputs = np.asarray(images, np.float32)
    if inputs.ndim != 4:
        raise ImageSizeError(
            f"images have shape {inputs.shape}, expected [image, height, width, channel]"
        )
    shown = np.stack([array_shown(image, None) for image in inputs])
    return Images(inputs, shown, tuple(names) or tuple(f"image {i}" for i in range(len(inputs))))


def array_shown(image: np.ndarray, network: InputRange | None) -> np.ndarray:
    """An input array as uint8 [height, width, 3]; stretched to black and white if unranged."""
    if network is not None:
        unit = np.asarray(ValueRange(0.0, 1.0, network).to_display(image))
    else:
        low, high = float(np.nanmin(image)), float(np.nanmax(image))
        inside = low >= 0 and high <= 1
        unit = image if inside else (image - low) / max(high - low, 1e-12)
    pixels = displayed((np.clip(np.nan_to_num(unit), 0, 1) * 255).round().astype(np.uint8)[None])[0]
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=-1)


def _range(spec: ModelSpec, given: InputRange | None) -> tuple[InputRange, set[str]]:
    known = given or spec.range
    if known is not None:
        return known, set()
    # A network that rescales by itself was trained on bytes.
    first = next((n.op for n in spec.nodes if n.inputs == (spec.inputs[0].name,)), None)
    if isinstance(first, Affine) and max(first.scale) < 0.1:
        return InputRange(low=(0.0,), high=(255.0,)), set()
    note = "The network's input range is not known; 0 to 1 is taken (--range LO:HI changes it)."
    return InputRange(low=(0.0,), high=(1.0,)), {note}


def _read(
    path: Path, wanted: tuple[int, int] | None, channels: int, network: InputRange
) -> tuple[np.ndarray, np.ndarray, set[str]]:
    """(input in the network's units, what it looks like, what was done to it) of one file."""
    if path.suffix.lower() == ".npy":
        array = _array(path, channels)
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
            warnings.simplefilter("ignore")  # Pillow's own about size and metadata
            with Image.open(path) as file:
                if file.width * file.height > _MOST_PIXELS:
                    raise ImageSizeError(
                        f"{path.name!r} has {file.width}×{file.height} pixels, too many to read"
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
        # What is transparent is black, as it is for most networks and in the sky.
        opaque = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        opaque.alpha_composite(picture.convert("RGBA"))
        picture = opaque
    mode = "L" if channels == 1 else "RGB"
    resized = ImageOps.fit(picture.convert(mode), size[::-1], Image.Resampling.LANCZOS)
    pixels = np.asarray(resized).reshape(*size, channels)
    return pixels.astype(np.float32) / 255, np.broadcast_to(pixels, (*size, 3)).copy()


def _converted(picture: Image.Image, shown: np.ndarray, channels: int) -> set[str]:
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
    units = ValueRange(0.0, 1.0, network)
    units.check_channels(unit.shape[-1])
    return np.asarray(units.to_network(unit), np.float32)


def _array(path: Path, channels: int) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise ImageSizeError(f"there is no image {str(path)!r}") from None
    except (OSError, ValueError, EOFError) as error:
        raise ImageSizeError(f"{str(path)!r} is not an array that can be read") from error
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] != channels or array.dtype.kind not in "fiub":
        raise ImageSizeError(
            f"{path.name!r} has shape {array.shape} of {array.dtype}, "
            f"expected numbers [height, width, {channels}]"
        )
    return array.astype(np.float32)


def read_image(path: str, *, spec: ModelSpec, shape: tuple[int, int, int]) -> np.ndarray:
    """One image in the network's units, at a picture's size.

    A picture is cut about its middle to the proportions and resized; so is a `.npy` array
    [height, width, channel], or [length, channel] for a network that takes signals.

    Args:
        path: An image file or a `.npy` array in the network's units.
        spec: The network's architecture, with its range.
        shape: (height, width, channels) that is wanted.

    Raises:
        ImageSizeError: If the file is no image, or has another number of channels.
    """
    if Path(path).suffix.lower() == ".npy":
        return _resized(_any_array(Path(path), shape), shape)
    if len(spec.inputs[0].shape) != 3:
        raise ImageSizeError(
            f"{Path(path).name!r} is an image, and the network takes signals",
            hint="Give .npy arrays [length, channel] in the network's units.",
        )
    # pictures may have another size than what the network was trained on
    anything = spec.inputs[0].model_copy(update={"shape": (None, None, shape[2])})
    free = spec.model_copy(update={"inputs": (anything, *spec.inputs[1:])})
    return read_images([Path(path)], free, size=(shape[0], shape[1])).inputs[0]


def _any_array(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ImageSizeError(f"{path.name!r} is not a NumPy array") from error
    numbers = isinstance(array, np.ndarray) and np.issubdtype(array.dtype, np.number)
    if numbers and array.ndim == 2:
        array = array[None] if shape[0] == 1 else array[..., None]
    if not numbers or array.ndim != 3 or array.shape[-1] != shape[2]:
        expected = f"[length, {shape[2]}]" if shape[0] == 1 else f"[height, width, {shape[2]}]"
        found = list(array.shape) if isinstance(array, np.ndarray) else "several arrays"
        raise ImageSizeError(f"{path.name!r} holds {found}, expected numbers of shape {expected}")
    return array.astype(np.float32)


def _resized(array: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Cut about the middle to the proportions of a shape, and brought to its size."""
    from PIL import Image

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
