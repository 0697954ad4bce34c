"""Select layers by glob and channels by range."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence

from jaxviz.errors import ConfigError, LayerError, nearest
from jaxviz.spec.model import ModelSpec


def match_layers(spec: ModelSpec, patterns: Sequence[str]) -> tuple[str, ...]:
    """The layers that match globs, in the model's order; every convolution without a glob.

    A stage of a layer (`NAME/pre_activation`, `NAME/depthwise`) is matched only by a pattern
    that ends in the stage's name.

    Args:
        spec: The architecture.
        patterns: Globs such as `conv*`.

    Raises:
        LayerError: If patterns match nothing; the message lists each with the nearest names.
    """
    if not patterns:
        if not spec.convolutions:
            raise LayerError(
                f"model {spec.name!r} has no convolution layer",
                hint="Name the layers: --layers GLOB (`jaxviz layers MODEL` lists them).",
            )
        return spec.convolutions
    matched: set[str] = set()
    problems = []
    for pattern in patterns:
        found = {
            node.name
            for node in spec.nodes
            if fnmatch.fnmatchcase(node.name, pattern)
            and (not node.stage or pattern.endswith(f"/{node.stage}"))
        }
        if not found:
            problems.append(f"{pattern!r} matches no layer. {nearest(pattern, spec.layer_names)}")
        matched |= found
    if problems:
        raise LayerError(
            f"model {spec.name!r} does not have {len(problems)} of the layers asked for",
            details=[p.strip() for p in problems],
            hint="`jaxviz layers MODEL` lists them.",
        )
    return tuple(name for name in spec.layer_names if name in matched)


def match_channels(text: str | None, count: int, layer: str) -> tuple[int, ...]:
    """The channels of a range `A:B`, of which either end may be left out, or of a single number.

    A range ends with the layer: `0:16` means all channels of a layer with 8. So one range serves a
    whole network.

    Args:
        text: The range; None for all channels.
        count: Number of channels of the layer.
        layer: The layer's name, for messages.

    Raises:
        ConfigError: If the text is not a range.
        LayerError: If the layer has none of these channels.

    Example:
        >>> match_channels("2:5", 16, "conv1")
        (2, 3, 4)
    """
    if text is None:
        return tuple(range(count))
    parsed = re.fullmatch(r"\s*(\d*)\s*(:)?\s*(\d*)\s*", text)
    if parsed is None or not (parsed[1] or parsed[2]):
        raise ConfigError(f"{text!r} is not a channel range", hint="Expected A:B, such as 0:16.")
    first = int(parsed[1] or 0)
    last = (int(parsed[3]) if parsed[3] else count) if parsed[2] else first + 1
    last = min(last, count) if parsed[2] else last
    if first >= last or last > count:
        raise LayerError(
            f"layer {layer!r} has no channels {text}",
            hint=f"It has {count} channels, 0:{count}.",
        )
    return tuple(range(first, last))
