"""The picture that people see, made from the optimised image."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from pydantic import BaseModel, ConfigDict, Field

from jaxviz.imaging.ranges import ValueRange


class Display(BaseModel):
    """How a finished image is shown.

    Attributes:
        method: `standardise` gives every picture one mean and contrast, as the published
            recipe does. `range` shows the network's input range, and clips values outside.
        contrast: Standard deviation after `standardise`, where black to white is 1.
        crop: Share (0 to ½) of the size cut off on every side.

    Example:
        >>> raw = jnp.array([-1.0, 0.0, 1.0, 2.0]).reshape(1, 4, 1)
        >>> Display().show(raw, ValueRange(0.0, 1.0, None)).ravel().tolist()
        [0.0, 0.0, 1.0, 1.0]
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    method: Literal["standardise", "range"] = "range"
    contrast: float = Field(default=0.15, gt=0)
    crop: float = Field(default=0.0, ge=0, lt=0.5)

    def margins(self, height: int, width: int) -> tuple[int, int]:
        """Pixels that are cut off: (above and below, left and right).

        Example:
            >>> Display(crop=25 / 180).margins(180, 64)
            (25, 9)
        """
        down, right = (min(round(n * self.crop), (n - 1) // 2) for n in (height, width))
        return down, right

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the picture shown.

        Example:
            >>> Display(crop=0.25).size(64, 32)
            (32, 16)
        """
        down, right = self.margins(height, width)
        return height - 2 * down, width - 2 * right

    def show(self, raw: jax.Array, units: ValueRange) -> jax.Array:
        """Make the picture.

        Args:
            raw: [height, width, channels] in the network's units.
            units: Maps the network's units to the preset's.

        Returns:
            float32 [height, width, channels] in [0, 1], with channels as RGB.
        """
        image = units.to_display(raw)
        if self.method == "standardise":
            # Statistics are computed before the crop, as in the published `deprocess_image`.
            image = units.from_network(raw)
            image = image - image.mean()
            image = image / (image.std() + 1e-5) * self.contrast + 0.5
        down, right = self.margins(*raw.shape[:2])
        image = image[down : raw.shape[0] - down, right : raw.shape[1] - right]
        return jnp.clip(image, 0.0, 1.0)
