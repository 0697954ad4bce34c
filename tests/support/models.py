"""The trained networks that tests use."""

import os
from pathlib import Path

import pytest

MODELS = Path(os.environ.get("JAXVIZ_MODELS", Path(__file__).parents[2] / "models"))


def real_model(name: str) -> Path:
    """A trained network that `scripts/fetch_models` fetched, or skip."""
    path = MODELS / name
    if not path.is_file():
        pytest.skip(f"{name} is not there: scripts/fetch_models fetches it")
    return path
