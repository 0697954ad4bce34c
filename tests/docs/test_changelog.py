"""The changelog lists every old module name that still imports."""

import re
from pathlib import Path

from jaxviz._util.renamed import RENAMED
from jaxviz._util.version import __version__

CHANGELOG = (Path(__file__).parents[2] / "CHANGELOG.md").read_text("utf-8")


def test_the_table_of_renamed_modules_is_complete():
    table = CHANGELOG.partition("### Renamed modules")[2].partition("\n## ")[0]
    assert dict(re.findall(r"^\| `(\S+)` \| `(\S+)` \|$", table, re.M)) == RENAMED


def test_this_version_has_a_heading():
    assert "\n## Unreleased\n" in CHANGELOG
    assert f"\n## {__version__}\n" in CHANGELOG
