"""Print the list of converted and refused classes: `python -m converters.layers`."""

from __future__ import annotations

from converters.layers.page import page

if __name__ == "__main__":
    print(page(), end="")
