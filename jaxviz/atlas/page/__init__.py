"""The page for browsing an atlas: one file that opens from disk, without server or network.

`render_page` puts `index.html`, `style.css` and the scripts of this folder together and adds the
atlas's data. Names come from model files and are untrusted. They stand in a block of JSON with
every markup character escaped, and the scripts use them as text only. As a second barrier, a
content security policy admits no script but those of this folder.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib import resources

import numpy as np
from pydantic import JsonValue

from jaxviz.atlas.manifest import Manifest
from jaxviz.atlas.page.document import page_document

PAGE_FILE = "index.html"
_PLACE = re.compile("@@([A-Z]+)@@")
_UNSAFE = re.compile("[<>&\u2028\u2029]")


def render_page(manifest: Manifest, values: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """The text of the whole page.

    Args:
        manifest: The atlas's manifest.
        values: The arrays of `VALUES` and the status, by layer name and column name.
    """
    script = "\n".join(_part(name) for name in sorted(_names(".js")))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    content = {
        "TITLE": html.escape(f"{manifest.title} · filter atlas"),
        "POLICY": f"script-src 'sha256-{digest}'; connect-src 'none'; object-src 'none'; "
        "frame-src 'none'; base-uri 'none'; form-action 'none'",
        "STYLE": _part("style.css"),
        "SCRIPT": script,
        "DATA": embedded(page_document(manifest, values).model_dump(mode="json")),
    }
    # One pass, so that inserted content is never searched for places.
    return _PLACE.sub(lambda place: content[place[1]], _part(PAGE_FILE))


def embedded(value: JsonValue) -> str:
    r"""JSON that is inert inside HTML, whatever text it contains.

    Example:
        >>> embedded({"name": "</script>"})
        '{"name":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _names(ending: str) -> list[str]:
    return [f.name for f in resources.files(__name__).iterdir() if f.name.endswith(ending)]


def _part(name: str) -> str:
    return (resources.files(__name__) / name).read_text(encoding="utf-8").replace("\r\n", "\n")
