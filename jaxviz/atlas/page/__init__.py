"""The page to browse an atlas with: one file, opened from disk, no server, no network.

`index.html`, `style.css` and the scripts in this folder are put together and filled with
the atlas's numbers. Names come from model files and are untrusted: they stand in a block
of JSON with every markup character escaped, and the scripts only ever make text of them.
Should that fail, a content security policy lets nothing run but the scripts of this folder.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np

from jaxviz.atlas.columns import STATUS, VALUES, UnitStatus
from jaxviz.atlas.manifest import LayerRecord, Manifest
from jaxviz.atlas.sheet import MARKED

PAGE_FILE = "index.html"
_PLACE = re.compile("@@([A-Z]+)@@")
_UNSAFE = re.compile("[<>&\u2028\u2029]")


def render_page(manifest: Manifest, values: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """The whole page as text.

    Args:
        manifest: The atlas's.
        values: By layer name and column name: the arrays of `VALUES` and the status.
    """
    document = {
        **manifest.model_dump(mode="json", exclude={"format", "layers"}),
        "statuses": [
            {"code": s, "label": s.label, "colour": s.colour, "marked": s in MARKED}
            for s in UnitStatus
        ],
        "columns": [
            {
                "name": c.name,
                "title": c.title,
                "meaning": c.meaning,
                "measure": c.measure,
                "words": {int(k): word for k, word in c.words.items()},
            }
            for c in VALUES
        ],
        "layers": [_layer(entry, values[entry.plan.name]) for entry in manifest.layers],
    }
    script = "\n".join(_part(name) for name in sorted(_names(".js")))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    content = {
        "TITLE": html.escape(f"{manifest.title} · filter atlas"),
        "POLICY": f"script-src 'sha256-{digest}'; connect-src 'none'; object-src 'none'; "
        "frame-src 'none'; base-uri 'none'; form-action 'none'",
        "STYLE": _part("style.css"),
        "SCRIPT": script,
        "DATA": embedded(document),
    }
    # In one pass, so that no content is searched for places.
    return _PLACE.sub(lambda place: content[place[1]], _part(PAGE_FILE))


def embedded(value: Any) -> str:
    r"""JSON that is inert inside HTML, whatever text it holds.

    Example:
        >>> embedded({"name": "</script>"})
        '{"name":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _layer(entry: LayerRecord, values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    plan = entry.plan
    return {
        **plan.model_dump(mode="json", exclude={"chunk", "compute"}),
        "key": entry.key,
        "height": plan.tile_size[0],
        "width": plan.tile_size[1],
        "size": plan.size_text,
        "signal": plan.height == 1,
        "seconds": entry.seconds,
        "strips": None if entry.strips is None else entry.strips.model_dump(),
        "status": values[STATUS.name].tolist(),
        "values": {column.name: _numbers(values[column.name]) for column in VALUES},
    }


def _numbers(values: np.ndarray) -> list[float | None]:
    # Six digits are more than a page shows; JSON has no NaN.
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in values.tolist()]


def _names(ending: str) -> list[str]:
    return [f.name for f in resources.files(__name__).iterdir() if f.name.endswith(ending)]


def _part(name: str) -> str:
    return (resources.files(__name__) / name).read_text(encoding="utf-8").replace("\r\n", "\n")
