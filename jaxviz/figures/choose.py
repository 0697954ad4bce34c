"""Which layers and channels a figure shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from jaxviz.errors import ConfigError, LayerError
from jaxviz.spec import ModelSpec, Pool
from jaxviz.spec.select import match_layers

#: Channels of layers: a rule to choose by, numbers for every layer, or {layer: numbers}.
Channels = str | Sequence[int] | Mapping[str, Sequence[int]]
SELECTIONS = ("first", "strongest", "variance")


def map_layers(spec: ModelSpec, patterns: Sequence[str] = (), most: int = 12) -> tuple[str, ...]:
    """The layers whose maps a figure shows.

    Args:
        spec: The architecture.
        patterns: Globs over layer names; by default convolutions and pooling layers.
        most: Without patterns, at most this many layers, evenly spread.

    Raises:
        LayerError: If a pattern matches nothing, or a layer has no maps.
    """
    if patterns:
        layers = match_layers(spec, patterns)
    else:
        pools = {n.name for n in spec.nodes if isinstance(n.op, Pool)}
        wanted = {*spec.convolutions, *pools}
        layers = spread([n for n in spec.layer_names if n in wanted and is_spatial(spec, n)], most)
        if not layers:
            raise LayerError(f"model {spec.name!r} has no layer with maps of height and width")
    check_spatial(spec, layers)
    return layers


def spread(names: Sequence[str], most: int) -> tuple[str, ...]:
    """The names, or `most` of them at even distances.

    Example:
        >>> spread("abcde", 3)
        ('a', 'c', 'e')
    """
    if len(names) <= most:
        return tuple(names)
    places = np.linspace(0, len(names) - 1, most).round().astype(int)
    return tuple(names[i] for i in places)


def is_spatial(spec: ModelSpec, name: str) -> bool:
    """Whether a layer's output is maps [height, width, channel]."""
    return len(spec.shapes()[name]) == 3


def check_spatial(spec: ModelSpec, layers: Sequence[str]) -> None:
    """Check that every layer's output is maps [height, width, channel].

    Raises:
        LayerError: Naming every layer that has none, with the shape of its output.
    """
    shapes = spec.shapes()
    bad = [
        f"{name}: its output is {'×'.join(str(n or 'any') for n in shapes[name])}"
        for name in layers
        if spec.node(name) and not is_spatial(spec, name)
    ]
    if bad:
        raise LayerError(
            "these layers have no maps of height and width to show",
            details=bad,
            hint="`jaxviz layers MODEL` lists every layer with its output.",
        )


def pick_channels(name: str, maps: np.ndarray, count: int, channels: Channels) -> tuple[int, ...]:
    """The channels of one layer that a figure shows.

    Args:
        name: The layer.
        maps: Its activations [image, height, width, channel].
        count: Channels that a rule chooses.
        channels: A rule of `choose_channels`, numbers, or {layer: numbers}. Layers without
            numbers of their own fall back to the rule `variance`.

    Raises:
        LayerError: If the layer does not have one of the channels.
        ConfigError: If there is no such rule.
    """
    if isinstance(channels, str):
        return choose_channels(maps, count, channels)
    if isinstance(channels, Mapping):
        if name not in channels:
            return choose_channels(maps, count)
        channels = channels[name]
    return check_channels(name, channels, maps.shape[-1])


def choose_channels(maps: np.ndarray, count: int, select: str = "variance") -> tuple[int, ...]:
    """Channels of a layer chosen by a rule, for all images together so that rows compare.

    The images take turns to choose, so every image shows something.

    Args:
        maps: [image, height, width, channel].
        count: Channels at most.
        select: `first`; `strongest` for the largest mean magnitude; or `variance` for the
            largest variance over positions.

    Returns:
        Channel numbers in ascending order.

    Raises:
        ConfigError: If there is no such rule.

    Example:
        >>> maps = np.zeros((1, 2, 1, 3)); maps[0, :, 0, 1] = [0, 4]; maps[..., 2] = 9
        >>> choose_channels(maps, 1), choose_channels(maps, 1, "strongest")
        ((1,), (2,))
    """
    axes = tuple(range(1, maps.ndim - 1))
    if select == "first":
        return tuple(range(min(count, maps.shape[-1])))
    single = np.prod(maps.shape[1:-1]) == 1  # a map of one position has no variance
    if select == "strongest" or (select == "variance" and single):
        rank = np.abs(maps).mean(axis=axes)
    elif select == "variance":
        rank = maps.var(axis=axes, dtype=np.float64)
    else:
        raise ConfigError(
            f"there is no selection {select!r}", hint=f"There are: {', '.join(SELECTIONS)}."
        )
    wishes = np.argsort(-rank, axis=-1, kind="stable")
    in_turn = dict.fromkeys(int(k) for k in wishes.T.ravel())
    return tuple(sorted(list(in_turn)[:count]))


def check_channels(name: str, channels: Sequence[int], available: int) -> tuple[int, ...]:
    """The channels as they were given.

    Raises:
        LayerError: If the list is empty, or naming every channel that the layer does not have.
    """
    bad = [str(k) for k in channels if not 0 <= k < available]
    if bad or not channels:
        found = f"channel {', '.join(bad)}" if bad else "an empty list of channels"
        raise LayerError(
            f"layer {name!r} has {available} channels (0 to {available - 1}), not {found}"
        )
    return tuple(channels)
