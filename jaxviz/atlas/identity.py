"""Whether a folder holds the atlas that is asked for, and if not, what differs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from jaxviz.atlas.manifest import LayerPlan, Manifest
from jaxviz.errors import AtlasMismatchError

_NOTHING = "nothing"
_LONGEST = 100


def check_same(found: Manifest, asked: Manifest, folder: Path) -> None:
    """Refuse to continue an atlas of something else.

    The title, the chunks and the way in which units are computed may differ: they do not
    change what the atlas shows, and the stored ones are kept. The preset's name on a layer
    is a label; what it stands for belongs into the identity.

    Raises:
        AtlasMismatchError: Listing every key that differs, with both values.
    """
    differing = [
        *_differences(_flat(found.identity), _flat(asked.identity)),
        *_layer_differences(found, asked),
    ]
    if differing:
        width = max(len(key) for key, _, _ in differing)
        raise AtlasMismatchError(
            f"{str(folder)!r} holds another atlas than the one asked for",
            details=[f"{key:{width}}  found {have}, asked {want}" for key, have, want in differing],
            hint="Ask for the same again to continue it, or choose another folder.",
        )


def runs_of(channels: tuple[int, ...]) -> str:
    """Channel numbers in short form.

    Example:
        >>> runs_of((0, 1, 2, 3, 7, 9, 10))
        '0:4, 7, 9:11'
    """
    runs = []
    for _, group in groupby(enumerate(channels), lambda pair: pair[1] - pair[0]):
        members = [channel for _, channel in group]
        first, last = members[0], members[-1]
        runs.append(str(first) if first == last else f"{first}:{last + 1}")
    return ", ".join(runs)


def _differences(have: Mapping[str, Any], want: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (
            key,
            _short(have[key]) if key in have else _NOTHING,
            _short(want[key]) if key in want else _NOTHING,
        )
        for key in {**have, **want}
        if (key in have) != (key in want) or have.get(key) != want.get(key)
    ]


def _layer_differences(found: Manifest, asked: Manifest) -> list[tuple[str, str, str]]:
    have = {layer.plan.name: layer.plan for layer in found.layers}
    want = {layer.plan.name: layer.plan for layer in asked.layers}
    differing = []
    for name in {**have, **want}:
        key = f"layers.{name}"
        if name in have and name in want:
            pairs = _differences(_shown(have[name]), _shown(want[name]))
            differing += [(f"{key}.{field}", old, new) for field, old, new in pairs]
        else:
            differing.append((key, _summary(have.get(name)), _summary(want.get(name))))
    return differing


def _shown(plan: LayerPlan) -> dict[str, Any]:
    fields = plan.model_dump(include={"height", "width", "depth"})
    return {**fields, "channels": runs_of(plan.channels)}


def _summary(plan: LayerPlan | None) -> str:
    if plan is None:
        return _NOTHING
    return f"{plan.units} units of {plan.height}x{plan.width}x{plan.depth}"


def _flat(value: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, entry in value.items():
        place = f"{path}.{key}" if path else key
        if isinstance(entry, Mapping) and entry:
            flat.update(_flat(entry, place))
        else:
            flat[place] = entry
    return flat


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"
