"""Synthetic galaxies: survey cut-outs of five morphological classes, with known labels.

A galaxy is a sum of components, each a smooth profile with the colour of its stars, seen at
an inclination. The telescope adds stars and neighbours in the field, a point spread, photon
noise and read noise. An arcsinh stretch, as in survey images, makes the result visible.

References:
    Sérsic, Atlas de galaxias australes, 1968 (profiles); Ringermacher & Mead, MNRAS 2009
    (logarithmic arms); Lupton et al., PASP 2004 (the stretch that keeps colour).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CLASSES = ("elliptical", "lenticular", "spiral", "edge-on", "irregular")
SIZE = 96

# Relative flux in (red, green, blue): old, middle-aged and young stars, and ionised gas.
_OLD = np.array([1.20, 0.92, 0.62])
_MIXED = np.array([1.02, 0.96, 0.90])
_YOUNG = np.array([0.72, 0.95, 1.30])
_NEBULA = np.array([1.35, 0.70, 0.95])


@dataclass(frozen=True)
class _Frame:
    """Coordinates along the galaxy's own axes, in pixels.

    Attributes:
        x: Distance from the centre along the major axis.
        y: Distance from the centre along the minor axis.
    """

    x: np.ndarray
    y: np.ndarray

    @classmethod
    def at(cls, size: int, centre: tuple[float, float], angle: float) -> _Frame:
        """The frame of a galaxy in a square image; the angle is in radians."""
        rows, columns = np.mgrid[:size, :size].astype(float)
        dx, dy = columns - centre[0], rows - centre[1]
        return cls(
            dx * np.cos(angle) + dy * np.sin(angle), -dx * np.sin(angle) + dy * np.cos(angle)
        )

    def radius(self, ratio: float) -> np.ndarray:
        """Distance from the centre in the plane of a disc of this apparent axis ratio."""
        return np.hypot(self.x, self.y / ratio)

    def azimuth(self, ratio: float) -> np.ndarray:
        """Angle in the plane of a disc of this apparent axis ratio, in radians."""
        return np.arctan2(self.y / ratio, self.x)


def sersic(radius: np.ndarray, effective: float, index: float) -> np.ndarray:
    """Sérsic's profile, 1 at the effective radius.

    Args:
        radius: Distances from the centre, in pixels.
        effective: Radius that holds half of the light, in pixels.
        index: Sérsic index; 1 is an exponential disc, 4 de Vaucouleurs' law.

    Example:
        >>> float(sersic(np.array(3.0), 3.0, 4.0))
        1.0
    """
    b = 2 * index - 1 / 3  # Ciotti & Bertin 1999, leading terms
    # The cusp is flattened within half a pixel, because no telescope resolves it.
    return np.exp(-b * ((np.hypot(radius, 0.5) / np.hypot(effective, 0.5)) ** (1 / index) - 1))


def galaxy(kind: str, rng: np.random.Generator, size: int = SIZE) -> np.ndarray:
    """One image of a class.

    Args:
        kind: One of `CLASSES`.
        rng: Source of every random property.
        size: Side of the image, in pixels.

    Returns:
        float32 [size, size, 3] in [0, 1], RGB.

    Example:
        >>> galaxy("spiral", np.random.default_rng(0)).shape
        (96, 96, 3)
    """
    centre = tuple(size / 2 - 0.5 + rng.normal(0, 0.03 * size, 2))
    frame = _Frame.at(size, centre, rng.uniform(0, np.pi))
    scale = size * rng.uniform(0.55, 1.25)
    scene = _KINDS[kind](frame, scale, rng)
    # Dust and redshift redden a whole galaxy, so colour alone does not reveal its class.
    scene *= np.exp(rng.normal(0, 0.12) * np.array([1.0, 0.0, -1.0]))
    scene *= rng.uniform(0.7, 1.5) / np.quantile(scene.mean(axis=-1), 0.97)
    return _observe(scene + _field(size, rng), rng)


def sample(count: int, seed: int, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """A balanced set of images.

    Image i depends only on the seed and on i, so a longer sample begins with a shorter one.

    Args:
        count: Number of images.
        seed: Seed of the set.
        size: Side of the images, in pixels.

    Returns:
        Images float32 [count, size, size, 3] in [0, 1], and labels [count] into `CLASSES`.
    """
    labels = np.arange(count) % len(CLASSES)
    images = np.stack(
        [galaxy(CLASSES[k], np.random.default_rng([seed, i]), size) for i, k in enumerate(labels)]
    )
    return images, labels


def _elliptical(frame: _Frame, scale: float, rng: np.random.Generator) -> np.ndarray:
    ratio = rng.uniform(0.4, 1.0)
    # As in de Vaucouleurs' law, a bright core in a halo without an edge.
    profile = sersic(frame.radius(ratio), scale * rng.uniform(0.08, 0.17), rng.uniform(2.0, 6.0))
    return profile[..., None] * _tinted(_OLD, rng)


def _lenticular(frame: _Frame, scale: float, rng: np.random.Generator) -> np.ndarray:
    ratio = rng.uniform(0.3, 0.85)
    disc = sersic(frame.radius(ratio), scale * rng.uniform(0.12, 0.2), rng.uniform(0.7, 1.1))
    bulge = sersic(frame.radius(max(ratio, 0.7)), scale * rng.uniform(0.03, 0.05), 2.0)
    scene = _add((disc, 0.8, _MIXED * 0.5 + _OLD * 0.5), (bulge, rng.uniform(1.0, 5.0), _OLD))
    if rng.random() < 0.35:
        scene += _bar(frame, ratio, scale * 0.12)[..., None] * _OLD
    return scene * _tinted(np.ones(3), rng)


def _spiral(frame: _Frame, scale: float, rng: np.random.Generator) -> np.ndarray:
    ratio = rng.uniform(0.3, 1.0)
    radius, azimuth = frame.radius(ratio), frame.azimuth(ratio)
    arms, pitch = rng.choice([2, 2, 2, 3, 4]), np.radians(rng.uniform(12, 28))
    turn = rng.choice([-1, 1])
    # A slow wave along each arm, because real arms are not exact spirals.
    wobble = 0.35 * np.sin(2.3 * np.log(radius + 1) + rng.uniform(0, 6.28))
    phase = azimuth + turn * np.log((radius + 1) / scale) / np.tan(pitch) + wobble
    ridge = np.exp(rng.uniform(1.0, 4.5) * (np.cos(arms * phase) - 1))
    extent = scale * rng.uniform(0.17, 0.24)
    disc = sersic(radius, extent, 1.0)
    begin = 1 / (1 + np.exp(-(radius - 0.25 * extent) / (0.05 * scale)))
    grain = _smooth_noise(radius.shape[0], 2.0, rng)
    spiral = disc * ridge * begin * (1 + 0.5 * grain)
    knots = np.clip(grain - 0.9, 0, None) * spiral
    bulge = sersic(frame.radius(max(ratio, 0.75)), scale * rng.uniform(0.025, 0.05), 2.0)
    scene = _add(
        (disc, rng.uniform(0.35, 0.9), _MIXED),
        (spiral, rng.uniform(0.4, 2.6), _YOUNG),
        (knots, 3.0, _NEBULA),
        (bulge, rng.uniform(0.8, 2.0), _OLD),
    )
    if rng.random() < 0.35:
        scene += _bar(frame, ratio, scale * 0.12)[..., None] * _OLD
    # Dust on the inner edge of the arms absorbs blue light most.
    dust = np.exp(4.0 * (np.cos(arms * (phase - 0.35 * turn)) - 1)) * begin
    return scene * np.exp(-dust[..., None] * np.array([0.25, 0.40, 0.55]))


def _edge_on(frame: _Frame, scale: float, rng: np.random.Generator) -> np.ndarray:
    height = scale * rng.uniform(0.02, 0.05)
    length = scale * rng.uniform(0.09, 0.15)
    warp = rng.normal(0, 0.06) * frame.x * np.abs(frame.x) / scale
    y = frame.y - warp
    disc = np.exp(-np.abs(frame.x) / length) / np.cosh(y / height) ** 2
    bulge = sersic(np.hypot(frame.x, y / 0.75), scale * rng.uniform(0.03, 0.06), 2.0)
    scene = _add((disc, 1.6, _MIXED), (bulge, rng.uniform(0.3, 1.4), _OLD))
    if rng.random() < 0.75:
        lane = np.exp(-(((y - rng.normal(0, 0.3) * height) / (0.6 * height)) ** 2))
        lane *= np.exp(-np.abs(frame.x) / (1.3 * length)) * rng.uniform(1.0, 2.5)
        lane *= 1 + 0.4 * _smooth_noise(y.shape[0], 1.5, rng)
        scene *= np.exp(-lane[..., None] * np.array([0.6, 0.85, 1.1]))
    return scene


def _irregular(frame: _Frame, scale: float, rng: np.random.Generator) -> np.ndarray:
    ratio = rng.uniform(0.45, 0.95)
    bend = rng.normal(0, 0.35) * (frame.x / scale) * np.abs(frame.x)
    bent = _Frame(frame.x, frame.y + bend)
    body = sersic(bent.radius(ratio), scale * rng.uniform(0.14, 0.22), rng.uniform(0.5, 1.0))
    patches = np.exp(0.9 * _smooth_noise(body.shape[0], scale * 0.05, rng))
    scene = _add((body * patches, 0.6, _MIXED * 0.4 + _YOUNG * 0.6))
    for _ in range(rng.integers(4, 12)):
        x, y = rng.normal(0, 0.13 * scale, 2) * (1, ratio)
        width = scale * rng.uniform(0.012, 0.04)
        clump = np.exp(-((frame.x - x) ** 2 + (frame.y - y) ** 2) / (2 * width**2))
        colour = _YOUNG if rng.random() < 0.7 else _NEBULA
        scene += clump[..., None] * colour * rng.uniform(0.4, 2.0)
    return scene


_KINDS = {
    "elliptical": _elliptical,
    "lenticular": _lenticular,
    "spiral": _spiral,
    "edge-on": _edge_on,
    "irregular": _irregular,
}


def _bar(frame: _Frame, ratio: float, length: float) -> np.ndarray:
    """The profile of a bar, 1 at the centre."""
    box = (
        np.abs(frame.x / length) ** 2.5 + np.abs(frame.y / (ratio * 0.28 * length)) ** 2.5
    ) ** 0.8
    return np.exp(-1.2 * box)


def _add(*parts: tuple[np.ndarray, float, np.ndarray]) -> np.ndarray:
    """The sum of components, each (profile, strength, colour)."""
    return sum(strength * profile[..., None] * colour for profile, strength, colour in parts)


def _tinted(colour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return colour * (1 + rng.normal(0, 0.03, 3))


def _smooth_noise(size: int, width: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of unit variance, correlated over `width` pixels."""
    noise = _blur(rng.normal(size=(size, size, 1)), width)[..., 0]
    return (noise - noise.mean()) / noise.std()


def _blur(image: np.ndarray, width: float) -> np.ndarray:
    """Convolution with a Gaussian through the Fourier transform, with periodic borders."""
    rows, columns = np.fft.fftfreq(image.shape[0]), np.fft.rfftfreq(image.shape[1])
    transfer = np.exp(-2 * (np.pi * width) ** 2 * (rows[:, None] ** 2 + columns**2))
    spectrum = np.fft.rfft2(image, axes=(0, 1)) * transfer[..., None]
    return np.fft.irfft2(spectrum, s=image.shape[:2], axes=(0, 1))


def _field(size: int, rng: np.random.Generator) -> np.ndarray:
    """Foreground stars and small background galaxies."""
    scene = np.zeros((size, size, 3))
    for _ in range(rng.poisson(1.5)):
        row, column = rng.integers(0, size, 2)
        warmth = rng.uniform(0, 1)
        scene[row, column] += rng.pareto(1.5) * 3 * (warmth * _OLD + (1 - warmth) * _YOUNG)
    for _ in range(rng.poisson(1.0)):
        frame = _Frame.at(size, tuple(rng.uniform(0, size, 2)), rng.uniform(0, np.pi))
        faint = sersic(frame.radius(rng.uniform(0.3, 1)), rng.uniform(1.0, 2.5), 1.0)
        scene += rng.uniform(0.05, 0.3) * faint[..., None] * _tinted(_OLD, rng)
    return scene


def _observe(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An image of a scene: point spread, noise and stretch."""
    seen = np.clip(_blur(scene, rng.uniform(0.7, 1.3)), 0, None)
    photons = rng.uniform(40, 400)
    sky = 0.05
    counts = rng.poisson((seen + sky) * photons) / photons - sky
    counts = counts + rng.normal(0, 0.012, counts.shape)
    intensity = np.clip(counts.mean(axis=-1, keepdims=True), 1e-4, None)
    stretched = np.arcsinh(8 * intensity) / np.arcsinh(8 * 2.2)
    return np.clip(0.02 + counts * stretched / intensity, 0, 1).astype(np.float32)
