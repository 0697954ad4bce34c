"""Ranges of pixel values: the network's input units and a preset's.

The numbers of a preset (start, step) belong to a range of pixel values: -1…1 at keras.io, 0…255
in tf-keras-vis. A picture is optimised in the preset's units, and reaches the network in the
network's units: an affine map per channel, and a flip for BGR networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jaxviz.errors import ConfigError
from jaxviz.spec import Affine, InputRange, ModelSpec

#: Values of black and white after `keras.applications.*.preprocess_input`, by its `mode`.
PREPROCESS = {
    "tf": InputRange(low=(-1.0,), high=(1.0,)),
    "torch": InputRange(
        low=(-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
        high=((1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225),
    ),
    "caffe": InputRange(
        low=(-103.939, -116.779, -123.68),
        high=(255 - 103.939, 255 - 116.779, 255 - 123.68),
        order="bgr",
    ),
    "raw": InputRange(low=(0.0,), high=(255.0,)),
}


def parse_range(text: str) -> InputRange:
    """Read `LO:HI`.

    Args:
        text: Values of black and white, such as `-1:1`.

    Raises:
        ConfigError: If the text is not two numbers in ascending order.

    Example:
        >>> parse_range("0:255").high
        (255.0,)
    """
    low, colon, high = text.partition(":")
    try:
        values = float(low), float(high)
    except ValueError:
        values = (0.0, 0.0)
    if not colon or not (np.isfinite(values).all() and values[0] < values[1]):
        raise ConfigError(
            f"{text!r} is not a range", hint="Expected LOW:HIGH, such as 0:1, 0:255 or -1:1."
        )
    return InputRange(low=values[:1], high=values[1:])


def preprocess_range(name: str) -> InputRange:
    """The range of a keras.applications preprocessing mode.

    Args:
        name: `tf`, `torch`, `caffe` or `raw`.

    Raises:
        ConfigError: If there is no such mode.

    Example:
        >>> preprocess_range("tf").low
        (-1.0,)
    """
    if name not in PREPROCESS:
        raise ConfigError(
            f"there is no preprocessing {name!r}", hint=f"There are: {', '.join(PREPROCESS)}."
        )
    return PREPROCESS[name]


def chosen_range(limits: str | None, preprocess: str | None) -> InputRange | None:
    """The input range that a user names; None where neither of the two is given.

    Args:
        limits: `LO:HI`, the values of black and white.
        preprocess: Name of a keras.applications preprocessing mode.

    Raises:
        ConfigError: If both are given, or one cannot be read.

    Example:
        >>> chosen_range("0:1", None).high, chosen_range(None, "tf").low, chosen_range(None, None)
        ((1.0,), (-1.0,), None)
    """
    if limits is not None and preprocess is not None:
        raise ConfigError("give either a range or a preprocessing, not both")
    if limits is not None:
        return parse_range(limits)
    return None if preprocess is None else preprocess_range(preprocess)


def known_range(spec: ModelSpec) -> InputRange | None:
    """The range that a model was trained on; None if its spec does not tell.

    A network whose first layer rescales its input was trained on bytes.

    Example:
        >>> import jaxviz
        >>> spec = jaxviz.load_bundle(jaxviz.example("galaxy_cnn.keras")).spec
        >>> known_range(spec) is None
        True
        >>> known_range(spec.model_copy(update={"range": parse_range("0:1")})).high
        (1.0,)
    """
    if spec.range is not None:
        return spec.range
    names = {source.name for source in spec.inputs}
    first = next((n.op for n in spec.nodes if names & set(n.inputs)), None)
    if isinstance(first, Affine) and max(map(abs, first.scale)) < 0.1:
        return InputRange(low=(0.0,), high=(255.0,))
    return None


@dataclass(frozen=True)
class ValueRange:
    """Maps pictures between a preset's units and the network's.

    Attributes:
        low: Value of black in the preset's units.
        high: Value of white in the preset's units.
        network: The network's range; None (unknown) leaves values in the preset's units.

    Example:
        >>> units = ValueRange(-1.0, 1.0, InputRange(low=(0.0,), high=(255.0,)))
        >>> float(units.to_network(jnp.zeros((1, 1, 3)))[0, 0, 0])
        127.5
    """

    low: float
    high: float
    network: InputRange | None

    def to_network(self, image: jax.Array | np.ndarray) -> jax.Array:
        """Map [height, width, channels] from the preset's units to the network's."""
        if self.network is None:
            return jnp.asarray(image)
        scale, offset = self._affine()
        if self.network.order == "bgr":
            image = image[..., ::-1]
        return image * scale + offset

    def from_network(self, raw: jax.Array | np.ndarray) -> jax.Array:
        """Map [height, width, channels] from the network's units to the preset's."""
        if self.network is None:
            return jnp.asarray(raw)
        scale, offset = self._affine()
        image = (raw - offset) / scale
        return image[..., ::-1] if self.network.order == "bgr" else image

    def to_display(self, raw: jax.Array | np.ndarray) -> jax.Array:
        """Map the network's units to 0 (black) … 1 (white), unclipped, with channels as RGB."""
        return (self.from_network(raw) - self.low) / (self.high - self.low)

    def check_channels(self, channels: int) -> None:
        """Raise ConfigError if the range is for another number of channels."""
        if self.network is not None and len(self.network.low) not in (1, channels):
            raise ConfigError(
                f"the range has {len(self.network.low)} channels, the network's input {channels}"
            )

    def _affine(self) -> tuple[np.ndarray, np.ndarray]:
        """Scale and offset per channel, from the preset's units to the network's."""
        assert self.network is not None
        low, span = np.asarray(self.network.low), np.asarray(self.network.span)
        scale = span / (self.high - self.low)
        return scale.astype(np.float32), (low - scale * self.low).astype(np.float32)
