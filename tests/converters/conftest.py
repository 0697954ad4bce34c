"""Fixtures of the converters' tests: Keras, random values, and parity with Keras."""

from __future__ import annotations

import pytest

from tests.support.keras_models import Keras, Parity, Randomise, assert_parity, randomise


@pytest.fixture
def keras() -> Keras:
    """Keras 3, skipped if it is not installed; generated names start from the beginning."""
    module = pytest.importorskip("keras")
    module.backend.clear_session()
    return module


@pytest.fixture
def randomised() -> Randomise:
    return randomise


@pytest.fixture
def parity() -> Parity:
    return assert_parity
