"""The trained networks that tests use."""

import os
from pathlib import Path

import pytest

MODELS = Path(os.environ.get("JAXVIZ_MODELS", Path(__file__).parents[2] / "models"))


def real_model(name: str) -> Path:
    """The path of a network that `scripts/fetch_models` fetches; skips the test without it."""
    path = MODELS / name
    if not path.is_file():
        pytest.skip(f"{name} is missing: scripts/fetch_models fetches it")
    return path
