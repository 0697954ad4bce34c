"""Whether a folder holds the atlas that is asked for, and if not, how the two differ."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from pydantic import JsonValue

from jaxviz.atlas.files import PARTIAL, explained
from jaxviz.atlas.lock import LOCK_FILE
from jaxviz.atlas.manifest import LayerPlan, Manifest
from jaxviz.atlas.manifest_file import MANIFEST_FILE, load_manifest
from jaxviz.errors import AtlasError, AtlasMismatchError

# A run that is killed before it writes its first manifest can leave these files behind.
_BEFORE_MANIFEST = {LOCK_FILE, MANIFEST_FILE + PARTIAL}
_NOTHING = "nothing"
_LONGEST = 100
_STRANGERS_SHOWN = 5


@dataclass(frozen=True)
class Difference:
    """A key in which two manifests differ, with both values as text."""

    key: str
    found: str
    asked: str


def matching_manifest(folder: Path, asked: Manifest) -> Manifest | None:
    """The manifest of a folder, if the folder already holds the atlas that is asked for.

    Args:
        folder: The atlas's folder. It may not exist yet.
        asked: The manifest of a new atlas with the settings that are asked for.

    Returns:
        The manifest, or None if the folder is new or empty.

    Raises:
        AtlasMismatchError: If the folder holds a different atlas.
        AtlasError: If the folder holds other files or a damaged manifest.
    """
    with explained("read", folder):
        present = set(os.listdir(folder)) if folder.exists() else set()
    if MANIFEST_FILE in present:
        found = load_manifest(folder)
        check_same(found, asked, folder)
        return found
    if strangers := sorted(present - _BEFORE_MANIFEST):
        more = ["…"] if len(strangers) > _STRANGERS_SHOWN else []
        raise AtlasError(
            f"will not write into {str(folder)!r}: the folder is not empty and not an atlas "
            f"(it has no {MANIFEST_FILE})",
            details=[*strangers[:_STRANGERS_SHOWN], *more],
            hint="Choose a new or an empty folder.",
        )
    return None


def check_same(found: Manifest, asked: Manifest, folder: Path) -> None:
    """Refuse to continue a different atlas.

    Title, pieces and compute settings may differ because they do not change the pictures; the
    stored ones are kept. A layer's preset name is only a label: the preset's fields are part of
    the identity.

    Raises:
        AtlasMismatchError: If any key differs. The message lists all of them with both values.
    """
    differing = [
        *_differences(_flat(found.identity), _flat(asked.identity)),
        *_layer_differences(found, asked),
    ]
    if differing:
        width = max(len(one.key) for one in differing)
        raise AtlasMismatchError(
            f"{str(folder)!r} holds a different atlas from the one asked for",
            details=[
                f"{one.key:{width}}  found {one.found}, asked {one.asked}" for one in differing
            ],
            hint="Repeat the settings found to continue that atlas, or choose another folder.",
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


def _differences(
    have: Mapping[str, JsonValue], want: Mapping[str, JsonValue], prefix: str = ""
) -> Iterator[Difference]:
    for key in {**have, **want}:
        if (key in have) != (key in want) or have.get(key) != want.get(key):
            yield Difference(
                prefix + key,
                _short(have[key]) if key in have else _NOTHING,
                _short(want[key]) if key in want else _NOTHING,
            )


def _layer_differences(found: Manifest, asked: Manifest) -> Iterator[Difference]:
    have = {layer.plan.name: layer.plan for layer in found.layers}
    want = {layer.plan.name: layer.plan for layer in asked.layers}
    for name in {**have, **want}:
        key = f"layers.{name}"
        if name in have and name in want:
            yield from _differences(_compared(have[name]), _compared(want[name]), f"{key}.")
        else:
            yield Difference(key, _summary(have.get(name)), _summary(want.get(name)))


def _compared(plan: LayerPlan) -> dict[str, JsonValue]:
    """The fields of a plan that must not differ."""
    return {
        "height": plan.height,
        "width": plan.width,
        "depth": plan.depth,
        "channels": runs_of(plan.channels),
    }


def _summary(plan: LayerPlan | None) -> str:
    if plan is None:
        return _NOTHING
    return f"{plan.units} units of {plan.height}x{plan.width}x{plan.depth}"


def _flat(value: Mapping[str, JsonValue], path: str = "") -> dict[str, JsonValue]:
    flat: dict[str, JsonValue] = {}
    for key, entry in value.items():
        place = f"{path}.{key}" if path else key
        if isinstance(entry, Mapping) and entry:
            flat.update(_flat(entry, place))
        else:
            flat[place] = entry
    return flat


def _short(value: JsonValue) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"
