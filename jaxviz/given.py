"""Images that the user gives: what pictures are measured against, and whose colours they have."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from jaxviz.errors import ConfigError
from jaxviz.parameterizations import Phase, measured_colour, measured_spectrum
from jaxviz.presets import Preset
from jaxviz.spec import ModelSpec

# More would not change the measures, and a folder may hold a whole training set.
_MOST = 64
_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".npy"}


class GivenImages:
    """A folder of images, read at any size, in the network's input units.

    Args:
        folder: Holds image files, or `.npy` arrays [height, width, channel] in the network's
            units for other numbers of channels; spread evenly over their names if many.
        spec: The network's architecture, with its range.

    Raises:
        ConfigError: If there is no such folder, or no image in it.
    """

    def __init__(self, folder: str, spec: ModelSpec) -> None:
        path = Path(folder)
        if not path.is_dir():
            raise ConfigError(f"there is no folder {folder!r}", hint="--images takes a folder.")
        files = sorted(f for f in path.iterdir() if f.suffix.lower() in _ENDINGS)
        if not files:
            raise ConfigError(
                f"the folder {folder!r} holds no images",
                hint=f"Known: {' '.join(sorted(_ENDINGS))}",
            )
        chosen = np.unique(np.linspace(0, len(files) - 1, min(_MOST, len(files))).round())
        self._files = [files[int(i)] for i in chosen]
        self._spec = spec
        self._read: dict[tuple[int, int], np.ndarray] = {}

    @property
    def digest(self) -> str:
        """SHA-256 of the files' contents, in the order of their names."""
        digest = hashlib.sha256()
        for file in self._files:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def read(self, size: tuple[int, int]) -> np.ndarray:
        """[image, height, width, channels] in the network's units."""
        if size not in self._read:
            from jaxviz.figures.images import read_images

            self._read[size] = read_images(self._files, self._spec, size=size).inputs
        return self._read[size]


def coloured(preset: Preset, references: np.ndarray) -> Preset:
    """The preset with the images' own colours and spectrum, where it has natural ones."""
    changed: dict[str, object] = {}
    if preset.parameterization.colour == "natural":
        changed["colour"] = measured_colour(references)
    if isinstance(preset.parameterization, Phase):
        changed["spectrum"] = measured_spectrum(references)
    parameterization = preset.parameterization.model_copy(update=changed)
    return preset.override(parameterization=parameterization)
