"""Reads and writes `manifest.json`.

The file is replaced as a whole. After a kill it may lag behind the store, but it is never
damaged: its counts are taken from the `status` arrays again when the atlas is continued.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import JsonValue, ValidationError

from jaxviz._util.version import __version__
from jaxviz.atlas.files import explained, write_whole
from jaxviz.atlas.manifest import FORMAT, SCHEMA_VERSION, Manifest
from jaxviz.errors import AtlasError

MANIFEST_FILE = "manifest.json"
_LARGEST = 256 << 20


def load_manifest(folder: Path) -> Manifest:
    """Read and check the manifest of an atlas.

    Raises:
        AtlasError: If there is no manifest, or it is damaged or has another schema version.
    """
    file = folder / MANIFEST_FILE
    with explained("read", file):
        size = file.stat().st_size
        if size > _LARGEST:
            raise AtlasError(f"{str(file)!r} has {size} bytes, and a manifest at most {_LARGEST}")
        content = file.read_bytes()
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise AtlasError(
            f"{str(file)!r} is damaged: {error}",
            hint="Restore it from a copy, or choose another folder.",
        ) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise AtlasError(f"{str(file)!r} is not the manifest of an atlas")
    if document.get("schema_version") != SCHEMA_VERSION:
        raise AtlasError(
            f"{str(file)!r} has schema version {document.get('schema_version')!r}, "
            f"but jaxviz {__version__} reads version {SCHEMA_VERSION}",
            hint=f"jaxviz {document.get('jaxviz_version', 'of an unknown version')} made it.",
        )
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        details = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise AtlasError(f"{str(file)!r} is damaged", details=details) from error


def save_manifest(manifest: Manifest, folder: Path) -> None:
    """Replace the manifest on disk as a whole.

    Raises:
        OSError: If the file system refuses.
    """
    text = _laid_out(manifest.model_dump(mode="json", by_alias=True))
    write_whole(folder / MANIFEST_FILE, (text + "\n").encode())


def _laid_out(value: JsonValue, indent: str = "") -> str:
    """JSON with one key a line, but with lists of plain values on one line."""
    inner = indent + " "
    if isinstance(value, dict) and value:
        items = [f"{json.dumps(k)}: {_laid_out(v, inner)}" for k, v in value.items()]
    elif isinstance(value, list) and any(isinstance(v, dict | list) for v in value):
        items = [_laid_out(v, inner) for v in value]
    else:
        return json.dumps(value, allow_nan=False)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    lines = ",\n".join(inner + item for item in items)
    return f"{opening}\n{lines}\n{indent}{closing}"
