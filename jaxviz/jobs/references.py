"""Reference images from the user: pictures take their colours and are measured against them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from jaxviz.errors import ConfigError
from jaxviz.imaging.files import read_image
from jaxviz.imaging.ranges import ValueRange
from jaxviz.parameterizations import Fourier, Phase, measured_colour, measured_spectrum
from jaxviz.presets import Preset
from jaxviz.spec import ModelSpec

# A folder may hold a whole training set, and more images would not change the measures.
_MOST = 64
# Outside these limits a picture is hardly anything but its mean colour, or a smooth gradient.
_MEANS, _DECAYS = (0.05, 0.95), (0.5, 2.0)
_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".npy"}


class GivenImages:
    """A folder of images, read at any size in the network's input units.

    Of a large folder, 64 files are used, spread evenly over the sorted names.

    Args:
        folder: A folder of image files, or of `.npy` arrays in the network's units, [height,
            width, channel] or [length, channel].
        spec: The network's architecture, with its input range.

    Raises:
        ConfigError: If there is no such folder, or it holds no image.
    """

    def __init__(self, folder: str, spec: ModelSpec) -> None:
        path = Path(folder)
        if not path.is_dir():
            raise ConfigError(f"there is no folder {folder!r}", hint="--images expects a folder.")
        files = sorted(f for f in path.iterdir() if f.suffix.lower() in _ENDINGS)
        if not files:
            raise ConfigError(
                f"the folder {folder!r} holds no image",
                hint=f"Known file types: {' '.join(sorted(_ENDINGS))}",
            )
        chosen = np.unique(np.linspace(0, len(files) - 1, min(_MOST, len(files))).round())
        self._files = [files[int(i)] for i in chosen]
        self._spec = spec
        self._read: dict[tuple[int, int], np.ndarray] = {}

    @property
    def digest(self) -> str:
        """SHA-256 of the contents of the files, in the order of their names."""
        digest = hashlib.sha256()
        for file in self._files:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def read(self, size: tuple[int, int]) -> np.ndarray:
        """The images at one size.

        Args:
            size: (height, width), in pixels.

        Returns:
            [image, height, width, channel] in the network's units.

        Raises:
            ImageSizeError: If a file cannot be read as such an image.
        """
        if size not in self._read:
            shape = (*size, self._spec.inputs[0].shape[-1] or 0)
            read = [read_image(str(f), spec=self._spec, shape=shape) for f in self._files]
            self._read[size] = np.stack(read)
        return self._read[size]


def coloured(preset: Preset, references: np.ndarray, units: ValueRange) -> Preset:
    """A preset whose natural colours, mean and spectrum are replaced by the images' own.

    Args:
        preset: The preset. Settings other than "natural" stay.
        references: [image, height, width, channel] in the network's units.
        units: The map between the network's units and the preset's.
    """
    kind = preset.parameterization
    images = np.asarray(units.from_network(references), np.float64)
    changed: dict[str, object] = {}
    if kind.colour == "natural":
        changed["colour"] = measured_colour(images)
        if kind.squash == "sigmoid":
            mean = np.clip(images.mean(axis=(0, 1, 2)), *_MEANS)
            changed["centre"] = tuple(float(f"{x:.6g}") for x in mean)
    if isinstance(kind, Phase):
        changed["spectrum"] = measured_spectrum(images)
    if isinstance(kind, Fourier) and kind.colour == "natural":
        size = (images.shape[1], images.shape[2])
        decay = measured_decay(images)
        both = (kind, kind.model_copy(update={"decay": decay}))
        loudness = [np.sqrt(np.mean(k.envelope(size) ** 2)) for k in both]
        # The gain keeps the contrast of one step, which only moves to other scales.
        changed |= {"decay": decay, "gain": float(kind.gain * loudness[0] / loudness[1])}
    fields = {name: getattr(kind, name) for name in type(kind).model_fields}
    return preset.override(parameterization=type(kind)(**{**fields, **changed}))


def measured_decay(images: np.ndarray) -> float:
    """The exponent with which spectra of images fall with frequency, for `Fourier`.

    Args:
        images: [image, height, width, channel].

    Returns:
        Between 0.5 and 2; 1 if the images are too small to tell.

    Example:
        >>> noise = np.random.default_rng(0).normal(size=(8, 32, 32, 1))
        >>> measured_decay(noise), measured_decay(noise.cumsum(axis=1).cumsum(axis=2)) > 1
        (0.5, True)
    """
    spectrum = np.asarray(measured_spectrum(images))
    radii = np.linspace(0, np.sqrt(0.5), len(spectrum))
    # Leave out wavelengths near the image's side, and frequencies near the limit of the pixels.
    inside = (radii > 1.5 / max(images.shape[1:3])) & (radii < 0.35) & (spectrum > 0)
    if inside.sum() < 3:
        return 1.0
    slope = np.polyfit(np.log(radii[inside]), np.log(spectrum[inside]), 1)[0]
    return float(np.clip(round(-slope, 2), *_DECAYS))
