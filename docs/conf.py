"""Sphinx configuration of the documentation; `scripts/docs` builds it."""

from __future__ import annotations

import os
import re
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from jaxviz._util.version import __version__

project = "jaxviz"
author = "the jaxviz authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# Docstrings write code in single backticks.
default_role = "code"
add_module_names = False
toc_object_entries_show_parents = "hide"
python_use_unqualified_type_names = True
autodoc_member_order = "groupwise"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]

html_theme = "furo"
html_title = "jaxviz"
html_static_path = ["_static"]
html_css_files = ["jaxviz.css"]
html_show_copyright = False
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "monokai"


def _skip(app: Any, kind: str, name: str, value: Any, skip: bool, options: Any) -> bool | None:
    """Leave out Pydantic's own attributes, which every model would repeat."""
    return True if name in {"model_config", "model_post_init"} else None


def _as_rst(app: Any, kind: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Add the markup that docstrings leave out, because they are read on terminals too."""
    literal = -1  # the indentation of the line that a block of code belongs to
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if literal >= 0 and (not line.strip() or indent > literal):
            continue
        literal = -1
        if line.lstrip().startswith((">>>", "...")):
            literal = max(indent - 1, 0)
            continue
        after = lines[number + 1 : number + 3]
        if line.endswith(":") and len(after) == 2 and not after[0].strip():
            if after[1].startswith(" " * (indent + 4)):
                lines[number], literal = f"{line}:", indent
                continue
        parts = re.split(r"(`[^`]*`)", line)
        lines[number] = "".join(
            part if part.startswith("`") else re.sub(r"([*|])", r"\\\1", part) for part in parts
        )


def _short_array(
    app: Any, kind: str, name: str, value: Any, options: Any, arguments: str, returned: str
) -> tuple[str, str] | None:
    """Call JAX's array by its public name."""
    pattern = r"(jax\.)?jaxlib\._jax\.Array"
    if not re.search(pattern, f"{arguments} {returned}"):
        return None
    return re.sub(pattern, "Array", arguments), re.sub(pattern, "Array", returned or "")


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-signature", _short_array)
    app.connect("autodoc-process-docstring", _as_rst, priority=400)  # before Napoleon
